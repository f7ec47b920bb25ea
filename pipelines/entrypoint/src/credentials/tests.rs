use super::*;

struct Secrets {
    folder: tempfile::TempDir,
    credentials: Credentials,
}

impl Secrets {
    fn new(secrets: &[(&str, &[(&str, &str)])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (secret, keys) in secrets {
            let of_secret = folder.path().join("secrets").join(secret);
            fs::create_dir_all(&of_secret).unwrap();
            for (key, value) in *keys {
                fs::write(of_secret.join(key), value).unwrap();
            }
        }
        let credentials = Credentials {
            secrets: folder.path().join("secrets"),
            folder: folder.path().join("creds"),
            ..Credentials::default()
        };
        Self { folder, credentials }
    }

    /// The files below the home, which are those of the other folder too.
    fn placed(&self) -> PathBuf {
        let home = self.folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        place(&self.credentials, Some(&home));
        home
    }
}

fn target(secret: &str, url: &str) -> Target {
    Target::parse(&format!("{secret}={url}")).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn git_gets_users_and_passwords_by_host_and_path() {
    let mut secrets = Secrets::new(&[
        ("one", &[("username", "me\n"), ("password", "p:w d/é\n")]),
        ("two", &[("username", "you"), ("password", "x")]),
        ("half", &[("username", "you")]),
    ]);
    secrets.credentials.basic_git = vec![
        target("two", "https://git.example/org/repo.git"),
        target("one", "https://git.example"),
        target("half", "https://half.example"),
        target("one", "ftp://no.example"),
    ];
    let home = secrets.placed();
    let read = |name: &str| fs::read_to_string(home.join(name)).unwrap();
    assert_eq!(
        read(".git-credentials"),
        "https://me:p%3Aw%20d%2F%C3%A9@git.example\nhttps://you:x@git.example/org/repo.git\n"
    );
    assert_eq!(
        read(".gitconfig"),
        "[credential]\n\thelper = store\n\
         [credential \"https://git.example/org/repo.git\"]\n\tusername = \"you\"\n\tuseHttpPath = true\n\
         [credential \"https://git.example\"]\n\tusername = \"me\"\n"
    );
    assert_eq!(mode(&home.join(".git-credentials")), 0o600);
    let other = secrets.credentials.folder.join(".git-credentials");
    assert_eq!(fs::read_to_string(other).unwrap(), read(".git-credentials"));
}

#[test]
fn ssh_gets_a_key_for_each_host_or_repository() {
    let mut secrets = Secrets::new(&[
        (
            "host",
            &[
                ("ssh-privatekey", "KEY1"),
                ("known_hosts", "git.example ssh-ed25519 A\n"),
            ],
        ),
        ("repo", &[("ssh-privatekey", "KEY2\n")]),
        ("bad", &[("ssh-privatekey", "KEY3\n")]),
    ]);
    secrets.credentials.ssh_git = vec![
        target("host", "git.example"),
        target("repo", "git.example:2222/org/repo"),
        target("bad", "-oProxyCommand=x"),
    ];
    let home = secrets.placed();
    let read = |name: &str| fs::read_to_string(home.join(name)).unwrap();
    let ssh = home.join(".ssh").display().to_string();
    assert_eq!(
        read(".ssh/config"),
        format!(
            "Host git.example-repo\n    HostName git.example\n    IdentityFile \"{ssh}/id_repo\"\n    IdentitiesOnly yes\n    \
             Port 2222\n    StrictHostKeyChecking accept-new\n\
             Host git.example\n    HostName git.example\n    IdentityFile \"{ssh}/id_host\"\n    IdentitiesOnly yes\n    \
             UserKnownHostsFile \"{ssh}/known_hosts\"\n    StrictHostKeyChecking yes\n"
        )
    );
    assert_eq!(
        read(".gitconfig"),
        "[url \"ssh://git@git.example-repo/org/repo\"]\n\tinsteadOf = \"git@git.example:org/repo\"\n\t\
         insteadOf = \"ssh://git@git.example:2222/org/repo\"\n"
    );
    assert_eq!(read(".ssh/id_host"), "KEY1\n");
    assert_eq!(read(".ssh/known_hosts"), "git.example ssh-ed25519 A\n");
    assert_eq!(
        (mode(&home.join(".ssh")), mode(&home.join(".ssh/id_repo"))),
        (0o700, 0o600)
    );
    assert!(!home.join(".ssh/id_bad").exists());
}

#[test]
fn docker_gets_all_registries_in_one_file() {
    let mut secrets = Secrets::new(&[
        (
            "config",
            &[(
                ".dockerconfigjson",
                r#"{"auths":{"a":{"auth":"1"},"b":{"auth":"2"}},"credHelpers":{"c":"x"}}"#,
            )],
        ),
        ("cfg", &[(".dockercfg", r#"{"b":{"auth":"3"}}"#)]),
        ("basic", &[("username", "u"), ("password", "p")]),
        ("broken", &[(".dockercfg", "hush")]),
    ]);
    secrets.credentials.docker_config = vec!["config".to_owned()];
    secrets.credentials.docker_cfg = vec!["cfg".to_owned(), "broken".to_owned()];
    secrets.credentials.basic_docker = vec![target("basic", "https://index.docker.io/v1/")];
    let home = secrets.placed();
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(home.join(".docker/config.json")).unwrap()).unwrap();
    let expected = serde_json::json!({
        "auths": {
            "a": {"auth": "1"}, "b": {"auth": "3"},
            "https://index.docker.io/v1/": {"username": "u", "password": "p", "auth": "dTpw"},
        },
        "credHelpers": {"c": "x"},
    });
    assert_eq!(config, expected);
}

#[test]
fn nothing_is_written_if_there_is_nothing() {
    let secrets = Secrets::new(&[]);
    let home = secrets.placed();
    assert_eq!(fs::read_dir(home).unwrap().count(), 0);
    assert!(!secrets.credentials.folder.exists());
}

#[test]
fn targets_name_a_secret_and_a_place() {
    assert_eq!(Target::parse("s=https://x=y").unwrap().url, "https://x=y");
    for text in ["", "s", "s=", "=u", "../s=u", "a/b=u"] {
        assert_eq!(Target::parse(text), None, "{text}");
    }
}
