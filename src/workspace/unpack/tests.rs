//! Packing and unpacking: honest trees come back, hostile archives do not come in.
//!
//! Takes generated trees and hand-made archives. Never: an archive that is refused only because it is broken.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;

use super::super::pack::{PackError, pack};
use super::*;

/// What a path is: kind, mode, target or the content's digest.
type Tree = BTreeMap<String, (char, u32, String)>;

fn tree(root: &Path) -> Tree {
    fn walk(dir: &Path, prefix: &str, found: &mut Tree) {
        for entry in std::fs::read_dir(dir).expect("dir") {
            let entry = entry.expect("entry");
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let metadata = std::fs::symlink_metadata(entry.path()).expect("metadata");
            let mode = metadata.mode() & 0o7777;
            if metadata.is_symlink() {
                let target = std::fs::read_link(entry.path()).expect("link");
                found.insert(path, ('l', 0, target.to_string_lossy().into_owned()));
            } else if metadata.is_dir() {
                walk(&entry.path(), &format!("{path}/"), found);
                found.insert(path, ('d', mode, String::new()));
            } else {
                let content = std::fs::read(entry.path()).expect("file");
                let digest = gantry_protocol::Digest::of(&content).to_string();
                found.insert(path, ('f', mode, digest));
            }
        }
    }
    let mut found = Tree::new();
    walk(root, "", &mut found);
    found
}

fn packed(root: &Path) -> Vec<u8> {
    pack(root, Bounds::default(), Vec::new()).expect("packed").1
}

fn unpacked(archive: &[u8]) -> (tempfile::TempDir, Result<UnpackReport, UnpackError>) {
    let temp = tempfile::tempdir().expect("temp dir");
    let result = unpack(temp.path(), Owner::own(), Bounds::default(), archive);
    (temp, result)
}

#[test]
fn a_workspace_comes_back_as_it_was() {
    let from = tempfile::tempdir().expect("temp dir");
    let root = from.path();
    std::fs::create_dir_all(root.join("source/.terraform/providers")).expect("dirs");
    let long = format!("source/{}/{}", "d".repeat(150), "e".repeat(150));
    std::fs::create_dir_all(root.join(&long)).expect("dirs");
    std::fs::write(root.join(&long).join("f".repeat(200)), "x").expect("file");
    std::fs::write(root.join("source/.terraform/providers/p"), vec![7; 100_000]).expect("file");
    std::fs::write(root.join("empty"), "").expect("file");
    let target = format!("{}/{}", "d".repeat(150), "e".repeat(150));
    symlink(&target, root.join("source/long-link")).expect("link");
    symlink("..//source/./x", root.join("source/odd")).expect("link");
    symlink(
        "/mnt/workspace/empty",
        root.join("source/.terraform/absolute"),
    )
    .expect("link");
    std::os::unix::net::UnixListener::bind(root.join("socket")).expect("socket");
    symlink("/etc/passwd", root.join("outward")).expect("link");
    for (path, mode) in [("empty", 0o4755), ("source/.terraform/providers", 0o500)] {
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).expect("mode");
    }
    let (report, archive) = pack(root, Bounds::default(), Vec::new()).expect("packed");
    assert_eq!((report.special, report.outward_links), (1, 1));
    assert_eq!(report.skipped, ["outward", "socket"]);
    let (to, result) = unpacked(&archive);
    assert_eq!(result.expect("unpacked").entries, report.entries);
    let mut expected = tree_without(root, &["outward", "socket"]);
    // Set-uid does not travel.
    expected.get_mut("empty").expect("there").1 = 0o755;
    assert_eq!(tree(to.path()), expected);
}

fn tree_without(root: &Path, names: &[&str]) -> Tree {
    for name in names {
        std::fs::remove_file(root.join(name)).expect("removed");
    }
    tree(root)
}

#[test]
fn files_keep_their_time_and_get_their_owner() {
    let from = tempfile::tempdir().expect("temp dir");
    std::fs::write(from.path().join("x"), "x").expect("file");
    let owner = match Owner::own().uid {
        0 => Owner {
            uid: 1983,
            gid: 1984,
        },
        _ => Owner::own(),
    };
    let to = tempfile::tempdir().expect("temp dir");
    let archive = packed(from.path());
    unpack(to.path(), owner, Bounds::default(), archive.as_slice()).expect("unpacked");
    let (old, new) = (from.path().join("x"), to.path().join("x"));
    let (old, new) = (old.metadata().expect("old"), new.metadata().expect("new"));
    assert_eq!(old.mtime(), new.mtime());
    assert_eq!((new.uid(), new.gid()), (owner.uid, owner.gid));
}

#[test]
fn bounds_hold_on_both_sides() {
    let from = tempfile::tempdir().expect("temp dir");
    for name in ["a", "b", "c"] {
        std::fs::write(from.path().join(name), vec![0; 1000]).expect("file");
    }
    let archive = packed(from.path());
    for (entries, bytes, fits) in [(3, 3000, true), (2, 3000, false), (3, 2999, false)] {
        let bounds = Bounds { entries, bytes };
        let packing = pack(from.path(), bounds, io::sink()).map(|_| ());
        assert_eq!(packing.is_ok(), fits, "{packing:?}");
        let to = tempfile::tempdir().expect("temp dir");
        let result = unpack(to.path(), Owner::own(), bounds, archive.as_slice());
        assert_eq!(result.is_ok(), fits, "{result:?}");
    }
}

#[test]
fn a_deep_workspace_is_one_error() {
    let from = tempfile::tempdir().expect("temp dir");
    let root = beneath::open_trusted(from.path()).expect("dir");
    let mut dir = beneath::make_dir(root, b"d", 0o700, Owner::own()).expect("dir");
    for _ in 0..MAX_DEPTH + 5 {
        dir = beneath::make_dir(dir, b"d", 0o700, Owner::own()).expect("dir");
    }
    let error = pack(from.path(), Bounds::default(), io::sink()).map(|_| ());
    assert!(matches!(error, Err(PackError::TooDeep { .. })));
}

/// Type flag, raw name, mode, link target, content.
type Raw<'a> = (u8, &'a [u8], u32, &'a [u8], &'a [u8]);

/// Writes headers byte by byte: the crate's own writer refuses most of what is tried here.
fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, mode, target, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        let raw = header.as_mut_bytes();
        raw[..name.len()].copy_from_slice(name);
        raw[157..157 + target.len()].copy_from_slice(target);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    zstd::encode_all(bytes.as_slice(), 1).expect("compressed")
}

type Hostile<'a> = Vec<(&'a str, Vec<Raw<'a>>)>;

const FILE: Raw<'_> = (b'0', b"x", 0o644, b"", b"y");
const DIR: Raw<'_> = (b'5', b"d/", 0o755, b"", b"");

fn link<'a>(name: &'a [u8], target: &'a [u8]) -> Raw<'a> {
    (b'2', name, 0o777, target, b"")
}

fn file_at(name: &[u8]) -> Raw<'_> {
    (b'0', name, 0o644, b"", b"y")
}

fn bad_paths() -> Hostile<'static> {
    vec![
        ("parent", vec![file_at(b"../x")]),
        ("parent inside", vec![DIR, file_at(b"d/../../x")]),
        (
            "parent at the end",
            vec![DIR, (b'5', b"d/..", 0o755, b"", b"")],
        ),
        ("absolute", vec![file_at(b"/tmp/gantry-evil")]),
        ("empty name", vec![file_at(b"")]),
        ("dot", vec![(b'5', b".", 0o755, b"", b"")]),
        ("double slash", vec![DIR, file_at(b"d//x")]),
        ("file twice", vec![FILE, FILE]),
        ("directory twice", vec![DIR, DIR]),
        ("file as directory", vec![FILE, file_at(b"x/y")]),
        ("no directory", vec![file_at(b"d/x")]),
    ]
}

fn bad_kinds() -> Hostile<'static> {
    let pax = b"18 path=../escape\n";
    vec![
        ("character device", vec![(b'3', b"null", 0o666, b"", b"")]),
        ("block device", vec![(b'4', b"sda", 0o666, b"", b"")]),
        ("fifo", vec![(b'6', b"fifo", 0o666, b"", b"")]),
        ("contiguous file", vec![(b'7', b"x", 0o644, b"", b"y")]),
        ("unknown type", vec![(b'Z', b"x", 0o644, b"", b"")]),
        ("pax header", vec![(b'x', b"pax", 0o644, b"", pax), FILE]),
        (
            "global pax header",
            vec![(b'g', b"pax", 0o644, b"", pax), FILE],
        ),
        (
            "hard link inside",
            vec![FILE, (b'1', b"h", 0o644, b"x", b"")],
        ),
        (
            "hard link outside",
            vec![(b'1', b"h", 0o644, b"/etc/passwd", b"")],
        ),
    ]
}

fn bad_links(outside: &[u8]) -> Hostile<'_> {
    vec![
        ("link to parent", vec![link(b"l", b"..")]),
        ("link to root", vec![link(b"l", b"/")]),
        ("absolute link", vec![link(b"l", outside)]),
        ("link without target", vec![link(b"l", b"")]),
        ("climbing link", vec![DIR, link(b"d/l", b"../..")]),
        (
            "through a link",
            vec![DIR, link(b"l", b"d"), file_at(b"l/x")],
        ),
        (
            "link then directory",
            vec![DIR, link(b"l", b"d"), (b'5', b"l", 0o755, b"", b"")],
        ),
        ("link then file", vec![link(b"l", b"x"), file_at(b"l")]),
        ("directory then link", vec![DIR, link(b"d", b"x")]),
    ]
}

fn bad_long_names() -> Hostile<'static> {
    let long = |kind, text| -> Raw<'static> { (kind, b"././@LongLink", 0, b"", text) };
    let name = |text: &'static [u8]| long(b'L', text);
    let target = |text: &'static [u8]| long(b'K', text);
    vec![
        ("long name that climbs", vec![name(b"../../x\0"), FILE]),
        (
            "long target that climbs",
            vec![target(b"../../x\0"), link(b"l", b"fine")],
        ),
        ("long name at the end", vec![name(b"x\0")]),
        ("name with a zero", vec![name(b"a\0b\0"), FILE]),
    ]
}

#[test]
fn hostile_archives_are_refused() {
    let outside = tempfile::tempdir().expect("temp dir");
    std::fs::write(outside.path().join("precious"), "x").expect("file");
    let out = outside.path().to_str().expect("UTF-8").as_bytes();
    let cases = [bad_paths(), bad_kinds(), bad_links(out), bad_long_names()];
    for (what, entries) in cases.into_iter().flatten() {
        let (to, result) = unpacked(&archive(&entries));
        let error = result.expect_err(what);
        assert!(
            matches!(error, UnpackError::Refused { .. }),
            "{what}: {error:?}"
        );
        assert!(
            !to.path().parent().expect("parent").join("x").exists(),
            "{what}"
        );
        assert_eq!(
            std::fs::read_dir(outside.path()).expect("dir").count(),
            1,
            "{what}"
        );
    }
}

#[test]
fn an_honest_hand_made_archive_is_not_refused() {
    let (to, result) = unpacked(&archive(&[
        (b'5', b"d/", 0o755, b"", b""),
        (b'0', b"d/x", 0o6755, b"", b"content"),
        (b'2', b"d/l", 0o777, b"../d/x", b""),
    ]));
    assert_eq!(result.expect("fine").entries, 3);
    let x = to.path().join("d/x").metadata().expect("file");
    assert_eq!(x.mode() & 0o7777, 0o755, "without set-uid and set-gid");
}

#[test]
fn broken_and_swollen_streams_are_read_errors() {
    let from = tempfile::tempdir().expect("temp dir");
    std::fs::write(from.path().join("x"), vec![1; 5000]).expect("file");
    let whole = packed(from.path());
    for bytes in [&whole[..whole.len() / 2], b"", b"not zstd at all"] {
        let (_to, result) = unpacked(bytes);
        assert!(matches!(result, Err(UnpackError::Read(_))), "{result:?}");
    }
    // A sparse file could claim terabytes.
    let (_to, result) = unpacked(&archive(&[(b'S', b"x", 0o644, b"", b"")]));
    assert!(result.is_err());
    // A name of a gigabyte of zeros costs little to send; it must cost nothing to refuse.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(1 << 20, 0);
    let bomb = zstd::encode_all(bytes.as_slice(), 1).expect("compressed");
    let (_to, result) = unpacked(&bomb);
    assert!(
        matches!(result, Err(UnpackError::Refused { .. })),
        "{result:?}"
    );
}

#[derive(Clone, Debug)]
enum Node {
    File(u32, Vec<u8>),
    Link(String),
    Dir(u32, BTreeMap<String, Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o600), Just(0o755), Just(0o444), Just(0o700)];
    let link = prop_oneof!["[a-c]{1,3}", "\\./[a-c]/[a-c]", "/mnt/workspace/[a-c]"];
    let leaf = prop_oneof![
        (mode, proptest::collection::vec(any::<u8>(), 0..3000)).prop_map(|(m, c)| Node::File(m, c)),
        link.prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let mode = prop_oneof![Just(0o755), Just(0o700), Just(0o500)];
        (
            mode,
            proptest::collection::btree_map("[a-z.ü -]{1,12}", inner, 0..6),
        )
            .prop_map(|(mode, children)| Node::Dir(mode, children))
    })
}

fn build(path: &Path, node: &Node) {
    match node {
        Node::File(mode, content) => {
            std::fs::write(path, content).expect("file");
            std::fs::set_permissions(path, PermissionsExt::from_mode(*mode)).expect("mode");
        }
        Node::Link(target) => symlink(target, path).expect("link"),
        Node::Dir(mode, children) => {
            std::fs::create_dir(path).expect("dir");
            for (name, child) in children {
                if name != "." && name != ".." {
                    build(&path.join(name), child);
                }
            }
            std::fs::set_permissions(path, PermissionsExt::from_mode(*mode)).expect("mode");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_packed_comes_back(node in node()) {
        let from = tempfile::tempdir().expect("temp dir");
        build(&from.path().join("top"), &node);
        let (to, result) = unpacked(&packed(from.path()));
        result.expect("unpacked");
        prop_assert_eq!(tree(to.path()), tree(from.path()));
    }
}
