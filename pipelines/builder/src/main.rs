//! The program of the steps of a build. See the library beside this.

fn main() {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    std::process::exit(builder::run(&arguments));
}
