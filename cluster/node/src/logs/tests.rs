use std::io::Write;

use super::*;

fn line(second: i64, tag: char, text: &str) -> String {
    format!(
        "{:.9} stdout {tag} {text}\n",
        Timestamp::from_second(second).unwrap()
    )
}

/// A run of two files with the lines 1 to 6, the last one in two parts.
fn run() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("c/0");
    std::fs::create_dir_all(dir.path().join("c")).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join("c").join(name), text).unwrap();
    write("0.000003.log", line(1, 'F', "one") + &line(2, 'F', "two"));
    write(
        "0.000004.log",
        line(3, 'F', "three")
            + &line(4, 'F', "")
            + &line(5, 'P', "fi")
            + &line(5, 'F', "ve")
            + &line(6, 'F', "six"),
    );
    write("1.000000.log", line(9, 'F', "another run"));
    (dir, base)
}

async fn read(base: &Path, options: LogOptions) -> String {
    let pieces: Vec<_> = stream(base.to_path_buf(), base.join("no-such-run"), options)
        .collect()
        .await;
    pieces
        .into_iter()
        .map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap())
        .collect()
}

#[tokio::test]
async fn options_select_what_is_sent() {
    let (_dir, base) = run();
    let all = LogOptions::default();
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let table = [
        (all.clone(), "one\ntwo\nthree\n\nfive\nsix\n"),
        (
            LogOptions {
                tail_lines: Some(1),
                ..all.clone()
            },
            "six\n",
        ),
        (
            LogOptions {
                tail_lines: Some(6),
                ..all.clone()
            },
            "two\nthree\n\nfive\nsix\n",
        ),
        (
            LogOptions {
                tail_lines: Some(100),
                ..all.clone()
            },
            "one\ntwo\nthree\n\nfive\nsix\n",
        ),
        (
            LogOptions {
                tail_lines: Some(0),
                ..all.clone()
            },
            "",
        ),
        (
            LogOptions {
                limit_bytes: Some(6),
                ..all.clone()
            },
            "one\ntw",
        ),
        (
            LogOptions {
                since_time: at(5),
                ..all.clone()
            },
            "five\nsix\n",
        ),
        (
            LogOptions {
                since_seconds: Some(60),
                ..all.clone()
            },
            "",
        ),
        (
            LogOptions {
                timestamps: true,
                since_time: at(5),
                ..all.clone()
            },
            "1970-01-01T00:00:05.000000000Z five\n1970-01-01T00:00:06.000000000Z six\n",
        ),
        (
            LogOptions { follow: true, ..all },
            "one\ntwo\nthree\n\nfive\nsix\n",
        ),
    ];
    for (options, wanted) in table {
        assert_eq!(read(&base, options.clone()).await, wanted, "{options:?}");
    }
}

#[tokio::test]
async fn following_crosses_files_and_ends_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (base, run_dir) = (dir.path().join("0"), dir.path().join("run"));
    std::fs::create_dir(&run_dir).unwrap();
    let write = |number: u32, text: &str| {
        let path = dir.path().join(format!("0.{number:06}.log"));
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write(0, &line(1, 'F', "one"));
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut stream = stream(base, run_dir.clone(), options);
    assert_eq!(stream.next().await.unwrap().unwrap(), "one\n");
    // Half a record is not shown before its end is there.
    write(0, "1970-01-01T00:00:02Z stdout F tw");
    write(0, "o\n");
    assert_eq!(stream.next().await.unwrap().unwrap(), "two\n");
    write(1, &line(3, 'F', "three"));
    assert_eq!(stream.next().await.unwrap().unwrap(), "three\n");
    std::fs::write(run_dir.join(EXIT_FILE), "{}").unwrap();
    assert!(stream.next().await.is_none());
}

#[test]
fn a_message_is_cut_from_the_end() {
    let (_dir, base) = run();
    assert_eq!(tail_text(&base, 3, 100), "five\nsix\n");
    assert_eq!(tail_text(&base, 100, 8), "ive\nsix\n");
    assert_eq!(runs(base.parent().unwrap()), [0, 1]);
    remove(&base);
    assert_eq!(runs(base.parent().unwrap()), [1]);
}
