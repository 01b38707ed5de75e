//! Uploaded archives, honest and hostile.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// Entries of an archive that no honest client writes.
struct Forged(tar::Builder<GzEncoder<Vec<u8>>>);

impl Forged {
    fn new() -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        Self(tar::Builder::new(gzip))
    }

    /// Appends an entry whose name is written as it is.
    fn entry(mut self, name: &str, kind: tar::EntryType, target: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

fn unpacked(packed: &[u8]) -> (tempfile::TempDir, Result<UnpackReport, UploadError>) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("source");
    fs::create_dir(&root).unwrap();
    let result = unpack_upload(&root, Owner::own(), packed);
    (temp, result)
}

#[test]
fn what_a_client_packs_is_laid_without_its_top() {
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    let deep = "d".repeat(90);
    fs::create_dir_all(tree.join(&deep).join(&deep)).unwrap();
    fs::write(tree.join("main.tf"), "x").unwrap();
    fs::write(tree.join("run.sh"), "y").unwrap();
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(tree.join(&deep).join(&deep).join("long.tf"), "z").unwrap();
    symlink("../main.tf", tree.join(&deep).join("link")).unwrap();
    // Long names: as GNU tar writes them, and as PAX has them.
    for format in ["gnu", "pax"] {
        let archive = temp.path().join("packed.tar.gz");
        let made = std::process::Command::new("tar")
            .args(["-czf", archive.to_str().unwrap(), "--format", format])
            .args(["--transform", "s,^tree,WS1,S", "tree"])
            .current_dir(temp.path())
            .status();
        assert!(made.unwrap().success());
        let (root, report) = unpacked(&fs::read(&archive).unwrap());
        let report = report.unwrap();
        assert_eq!((report.entries, report.bytes), (7, 3), "{format}");
        let root = root.path().join("source");
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(read("main.tf"), "x");
        assert_eq!(read(&format!("{deep}/{deep}/long.tf")), "z");
        assert_eq!(read(&format!("{deep}/link")), "x");
        let mode = |path: &str| {
            let metadata = fs::metadata(root.join(path)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode("run.sh"), mode("main.tf")), (0o755, 0o644));
    }
}

#[test]
fn directories_need_no_entry() {
    let file = tar::EntryType::Regular;
    let packed = Forged::new().entry("w/a/b/x.tf", file, "", b"x").bytes();
    let (root, report) = unpacked(&packed);
    assert_eq!(report.unwrap().entries, 1);
    assert_eq!(fs::read(root.path().join("source/a/b/x.tf")).unwrap(), b"x");
}

#[test]
fn nothing_leaves_the_tree() {
    use tar::EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    let cases = [
        ("w/../../out", Regular, "", Refused::Name),
        ("/out", Regular, "", Refused::Absolute),
        ("v/x", Regular, "", Refused::Top),
        ("w/l", Symlink, "/etc/passwd", Refused::Leaves),
        ("w/l", Symlink, "../out", Refused::Leaves),
        ("w/l", Link, "w/main.tf", Refused::Kind),
        ("w/d", Char, "", Refused::Kind),
        ("w/d", Block, "", Refused::Kind),
        ("w/d", Fifo, "", Refused::Kind),
    ];
    for (name, kind, target, rule) in cases {
        let forged = Forged::new().entry("w/main.tf", Regular, "", b"x");
        let (root, result) = unpacked(&forged.entry(name, kind, target, b"").bytes());
        match result {
            Err(UploadError::Refused { source, .. }) => assert_eq!(source, rule, "{name} {kind:?}"),
            other => panic!("{name} {kind:?}: {other:?}"),
        }
        assert!(!root.path().join("out").exists());
    }
}

#[test]
fn nothing_goes_through_a_link_or_over_another_entry() {
    use tar::EntryType::{Directory, Regular, Symlink};
    for second in [
        Forged::new()
            .entry("w/d", Directory, "", b"")
            .entry("w/l", Symlink, "d", b"")
            .entry("w/l/x", Regular, "", b"x"),
        Forged::new()
            .entry("w/f", Regular, "", b"1")
            .entry("w/f", Regular, "", b"2"),
        Forged::new()
            .entry("w/f", Regular, "", b"1")
            .entry("w/f/x", Regular, "", b"2"),
        Forged::new()
            .entry("w/f", Regular, "", b"1")
            .entry("w/f", Symlink, "g", b""),
    ] {
        let (root, result) = unpacked(&second.bytes());
        assert!(matches!(result, Err(UploadError::Twice(_))), "{result:?}");
        assert!(!root.path().join("source/d/x").exists());
    }
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut header = tar::Header::new_gnu();
    header.set_path("w/zeros").unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    gzip.write_all(&vec![0; 1 << 20]).unwrap();
    let (root, result) = unpacked(&gzip.finish().unwrap());
    let too_much = matches!(
        &result,
        Err(UploadError::Refused {
            source: Refused::TooMuch,
            ..
        })
    );
    assert!(too_much, "{result:?}");
    assert!(!root.path().join("source/zeros").exists());
}

#[test]
fn what_is_cut_or_no_archive_is_told_of() {
    let file = tar::EntryType::Regular;
    let packed = Forged::new().entry("w/x", file, "", &[7; 4096]).bytes();
    for bytes in [&packed[..packed.len() / 2], b"not gzip", b""] {
        let (_root, result) = unpacked(bytes);
        assert!(matches!(result, Err(UploadError::Read(_))), "{result:?}");
    }
    let long = vec![b'a'; usize::try_from(MAX_EXTENSION).unwrap() + 1];
    let name = tar::EntryType::GNULongName;
    let (_root, result) = unpacked(&Forged::new().entry("n", name, "", &long).bytes());
    assert!(matches!(result, Err(UploadError::Read(_))), "{result:?}");
}
