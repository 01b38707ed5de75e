//! A publisher of tools: OpenPGP keys, archives, checksums, signatures; and a web server for them.
//!
//! Takes what is to be published, gives directories laid out as the real ones. Keys and signatures are made by
//! `gpg`, as publishers make theirs. Never: a key that outlives its test, a byte served beyond this host.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gantry_protocol::Digest;
use tempfile::TempDir;

use crate::programs::find_program;

/// A GnuPG home with secret keys; its agent ends with it.
#[derive(Debug)]
pub struct KeyRing {
    home: TempDir,
}

impl KeyRing {
    /// An empty one.
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("gpg-").tempdir();
        Self {
            home: home.expect("a directory"),
        }
    }

    /// Makes a key; `usage` and `life` as `gpg --quick-gen-key` takes them (`sign 1y`). Gives its fingerprint.
    pub fn generate(
        &self,
        name: &str,
        algorithm: &str,
        usage: &str,
        life: &str,
        at: &str,
    ) -> String {
        let user = format!("{name} <{name}@example.org>");
        self.gpg_at(at, &["--quick-gen-key", &user, algorithm, usage, life]);
        self.fingerprint(name)
    }

    /// Adds a subkey for signing.
    pub fn add_signing_subkey(&self, fingerprint: &str, life: &str, at: &str) {
        self.gpg_at(
            at,
            &["--quick-add-key", fingerprint, "ed25519", "sign", life],
        );
    }

    fn fingerprint(&self, name: &str) -> String {
        let listed = self.gpg(&[
            "--with-colons",
            "--list-keys",
            &format!("{name}@example.org"),
        ]);
        let listed = String::from_utf8(listed).expect("text");
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:"));
        line.expect("a fingerprint").trim_matches(':').to_owned()
    }

    /// Revokes a key by the certificate that was made with it.
    pub fn revoke(&self, fingerprint: &str) {
        let file = self
            .home
            .path()
            .join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = fs::read_to_string(file).expect("the revocation certificate");
        let armor = text.replace(":-----BEGIN", "-----BEGIN");
        let edited = self.home.path().join("revoke.asc");
        fs::write(&edited, armor).expect("write");
        self.gpg(&["--import", edited.to_str().expect("UTF-8")]);
    }

    /// The public key, armored or binary.
    pub fn export(&self, fingerprint: &str, armored: bool) -> Vec<u8> {
        let armor: &[&str] = if armored { &["--armor"] } else { &[] };
        self.gpg(&[armor, &["--export", fingerprint]].concat())
    }

    /// A binary detached signature over `content`, made at `at` (now when empty).
    pub fn sign(&self, fingerprint: &str, content: &[u8], at: &str) -> Vec<u8> {
        // A file of its own: tests that run at the same time share a ring.
        let mut file = tempfile::NamedTempFile::new_in(self.home.path()).expect("a file");
        file.write_all(content).expect("write");
        let file = file.path().to_str().expect("UTF-8");
        let args = [
            "--local-user",
            fingerprint,
            "--detach-sign",
            "--output",
            "-",
            file,
        ];
        self.gpg_at(at, &args)
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        self.gpg_at("", args)
    }

    /// `at` is a time such as `20200101T000000` that gpg believes it to be.
    fn gpg_at(&self, at: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(find_program("gpg", "gnupg"));
        command.args(["--batch", "--quiet", "--no-tty", "--passphrase", ""]);
        command
            .args(["--pinentry-mode", "loopback", "--homedir"])
            .arg(self.home.path());
        if !at.is_empty() {
            command.args(["--faked-system-time", &format!("{at}!")]);
        }
        crate::server::output(command.args(args))
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        let mut end = Command::new(find_program("gpgconf", "gpgconf"));
        // An agent that is gone already is as good.
        let _ = end
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

/// A zip archive of these entries.
pub fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .unix_permissions(0o755);
        writer.start_file(*name, options).expect("in memory");
        writer.write_all(content).expect("in memory");
    }
    writer.finish().expect("in memory").into_inner()
}

/// A line of `SHA256SUMS`.
pub fn sum_line(name: &str, content: &[u8]) -> String {
    format!("{}  {name}\n", Digest::of(content).hex())
}

/// A web server on loopback for the files of a directory.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    state: Arc<WebState>,
}

#[derive(Debug)]
struct WebState {
    root: PathBuf,
    ended: AtomicBool,
    redirects: Mutex<BTreeMap<String, String>>,
    seen: Mutex<Vec<String>>,
}

impl WebServer {
    /// Serves `root`.
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(WebState {
            root: root.to_owned(),
            ended: AtomicBool::new(false),
            redirects: Mutex::default(),
            seen: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&serving);
                std::thread::spawn(move || answer(&state, connection));
            }
        });
        Self { address, state }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests for `path` by a redirect.
    pub fn redirect(&self, path: &str, target: &str) {
        let mut redirects = lock(&self.state.redirects);
        redirects.insert(path.to_owned(), target.to_owned());
    }

    /// Paths that were asked for, in order.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state.seen).clone()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(state: &WebState, mut connection: TcpStream) {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _ = lines.by_ref().take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    lock(&state.seen).push(path.clone());
    let redirect = lock(&state.redirects).get(&path).cloned();
    let plain = !path.split('/').any(|step| step == "..");
    let file = state.root.join(path.trim_start_matches('/'));
    let (head, body) = match (redirect, plain.then(|| fs::read(file))) {
        (Some(target), _) => (format!("302 Found\r\nLocation: {target}"), Vec::new()),
        (None, Some(Ok(content))) => ("200 OK".to_owned(), content),
        _ => ("404 Not Found".to_owned(), b"nothing here".to_vec()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client that left is not this server's matter.
    let _ = connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(&body));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
