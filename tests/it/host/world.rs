//! Images, registries and containers for one test, gone when it ends.
//!
//! Takes names, gives guards. Never: a name that two tests could share.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gantry_launcher::engine::{Docker, EngineInfo};
use gantry_launcher::image::{Images, PullPolicy};
use gantry_launcher::registry::{LoginSettings, Logins};

/// User and password of registries that want one. The password's base64 has `/` and `+` in it.
pub(crate) const USER: &str = "robot";
pub(crate) const PASSWORD: &str = "p?>~w/+rd";
const BCRYPT: &str = "$2b$05$abcdefghijklmnopqrstuuxCeQ8Z5m8ZYBgT5xFZ/soKmMTBAq70m";

/// Deadline of every wait.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn unique() -> String {
    ulid::Ulid::generate().to_string()
}

pub(crate) async fn engine() -> (Docker, EngineInfo) {
    let engine = Docker::new(None).expect("the default address");
    let info = engine
        .info()
        .await
        .expect("these tests need a Docker Engine");
    (engine, info)
}

pub(crate) fn images(engine: &Docker, info: &EngineInfo) -> Images {
    images_with(
        engine,
        info,
        LoginSettings::default(),
        PullPolicy::default(),
    )
}

pub(crate) fn images_with(
    engine: &Docker,
    info: &EngineInfo,
    settings: LoginSettings,
    policy: PullPolicy,
) -> Images {
    let labels = BTreeMap::from([("gantry.test".to_owned(), "reading".to_owned())]);
    let logins = Logins::new(settings).expect("usable settings");
    let platform = info.platform.clone();
    Images::new(engine.clone(), platform, labels, logins, policy)
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .expect("the docker client");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "docker {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A local image of nothing but a static busybox; removed on drop.
pub(crate) struct LocalImage {
    pub(crate) name: String,
}

impl LocalImage {
    /// `options` go to `docker import`.
    pub(crate) fn new(options: &[&str]) -> Self {
        let name = format!("gantry-test-{}", unique().to_ascii_lowercase());
        let mut import = vec!["import"];
        import.extend_from_slice(options);
        import.extend_from_slice(&["-", &name]);
        let mut child = Command::new("docker")
            .args(&import)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the docker client");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(&root_file_system()).expect("written");
        drop(input);
        assert!(child.wait().expect("ended").success(), "docker {import:?}");
        Self { name }
    }
}

impl LocalImage {
    /// The same for another platform: `docker import` takes only the engine's own.
    pub(crate) fn foreign(platform: &str) -> Self {
        let name = format!("gantry-test-{}", unique().to_ascii_lowercase());
        let context = tempfile::tempdir().expect("temp dir");
        std::fs::write(
            context.path().join("Dockerfile"),
            "FROM scratch\nCOPY unique /unique\n",
        )
        .expect("written");
        std::fs::write(context.path().join("unique"), unique()).expect("written");
        let output = Command::new("docker")
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--quiet", "--platform", platform, "--tag", &name])
            .arg(context.path())
            .output()
            .expect("the docker client");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "docker build: {said}");
        Self { name }
    }
}

impl Drop for LocalImage {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["image", "rm", "--force", &self.name])
            .output();
    }
}

fn root_file_system() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut file = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)
            .expect("in memory");
    };
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static");
    file("bin/busybox", 0o755, &busybox);
    file("etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n");
    let unique = unique();
    // Every test image has its own digest.
    file("etc/gantry-test", 0o644, unique.as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "bin/sh", "busybox")
        .expect("in memory");
    tar.into_inner().expect("in memory")
}

/// What a registry is to be.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// Where it listens; a free loopback port otherwise.
    pub(crate) listen: Option<String>,
    /// What references call it; where it listens otherwise.
    pub(crate) host: Option<String>,
    /// User, password and the password's bcrypt hash.
    pub(crate) login: Option<(&'static str, &'static str, &'static str)>,
    /// Certificate and key as PEM.
    pub(crate) tls: Option<(String, String)>,
}

impl Setup {
    /// With the usual user.
    pub(crate) fn with_login(mut self) -> Self {
        self.login = Some((USER, PASSWORD, BCRYPT));
        self
    }
}

/// A registry; ended on drop.
pub(crate) struct Registry {
    child: Child,
    temp: tempfile::TempDir,
    login: (&'static str, &'static str),
    pub(crate) host: String,
}

impl Registry {
    pub(crate) fn open() -> Self {
        Self::start(Setup::default())
    }

    pub(crate) fn with_login() -> Self {
        Self::start(Setup::default().with_login())
    }

    pub(crate) fn start(setup: Setup) -> Self {
        let temp = tempfile::tempdir().expect("temp dir");
        let path = temp.path().to_str().expect("UTF-8");
        let listen = setup.listen.unwrap_or_else(free_address);
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {path}/data }} }}\n"
        );
        let mut http = format!("addr: \"{listen}\"");
        if let Some((certificate, key)) = setup.tls {
            std::fs::write(temp.path().join("cert.pem"), certificate).expect("written");
            std::fs::write(temp.path().join("key.pem"), key).expect("written");
            http += &format!(", tls: {{ certificate: {path}/cert.pem, key: {path}/key.pem }}");
        }
        config += &format!("http: {{ {http} }}\n");
        let login = setup
            .login
            .map_or((USER, PASSWORD), |(user, password, hash)| {
                let file = temp.path().join("htpasswd");
                std::fs::write(file, format!("{user}:{hash}\n")).expect("written");
                config +=
                    &format!("auth: {{ htpasswd: {{ realm: test, path: {path}/htpasswd }} }}\n");
                (user, password)
            });
        std::fs::write(temp.path().join("config.yml"), config).expect("written");
        let log = std::fs::File::create(temp.path().join("access.log")).expect("created");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(temp.path().join("config.yml"))
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry");
        let host = setup.host.unwrap_or_else(|| listen.clone());
        let registry = Self {
            child,
            temp,
            login,
            host,
        };
        wait_until("the registry listens", || {
            TcpStream::connect(&listen).is_ok()
        });
        registry
    }

    /// Requests that it has answered so far and whose log line contains `text`, such as `GET /v2/x/blobs/`.
    pub(crate) fn answered(&self, text: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.temp.path().join("access.log")).expect("a log");
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }

    /// Docker client configuration with (or without) this registry's login.
    pub(crate) fn docker_config(&self, login: bool) -> &Path {
        use base64::Engine as _;
        let (user, password) = self.login;
        let pair = format!("{user}:{password}");
        let auth = base64::engine::general_purpose::STANDARD.encode(pair);
        let auths = match login {
            true => format!("\"{}\":{{\"auth\":\"{auth}\"}}", self.host),
            false => String::new(),
        };
        let config = format!("{{\"auths\":{{{auths}}}}}");
        std::fs::write(self.temp.path().join("config.json"), config).expect("written");
        self.temp.path()
    }

    /// Pushes an image as `repository:tag` and removes it locally; gives the reference and its digest.
    pub(crate) fn push(&self, image: &LocalImage, repository: &str) -> (String, String) {
        let reference = format!("{}/{repository}", self.host);
        docker(&["tag", &image.name, &reference]);
        let config = self.docker_config(true).to_str().expect("UTF-8");
        docker(&["--config", config, "push", "--quiet", &reference]);
        let format = "{{range .RepoDigests}}{{println .}}{{end}}";
        let digests = docker(&["image", "inspect", "--format", format, &reference]);
        let name = reference.rsplit_once(':').expect("a tag").0;
        let prefix = format!("{name}@");
        let digest = digests.lines().find_map(|line| line.strip_prefix(&prefix));
        let digest = digest.expect("a digest of this registry").to_owned();
        docker(&["image", "rm", &reference]);
        (reference, digest)
    }

    /// Removes what was pulled from here.
    fn forget(&self) {
        let reference = |path| format!("reference={}/{path}", self.host);
        let listed = Command::new("docker")
            .args(["images", "--quiet", "--filter", &reference("*")])
            .args(["--filter", &reference("*/*")])
            .output();
        let Ok(listed) = listed else { return };
        for id in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
            let _ = Command::new("docker")
                .args(["image", "rm", "--force", id])
                .output();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget();
    }
}

/// A loopback address that nothing listens on just now.
pub(crate) fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("bound").to_string()
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o555)).expect("mode");
}
