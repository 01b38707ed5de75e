//! The account that runs use, for images that lack it.
//!
//! Takes an image's `/etc/passwd` and `/etc/group`, gives whether they have to be replaced and by what.
//! Never: a second entry for an id that the image names.

/// User and group id of every run.
pub const RUN_ID: u32 = 1983;

/// The account's name where the image has none for the id.
const RUN_NAME: &str = "spacelift";

/// Home directory of every run.
pub const HOME: &str = "/home/spacelift";

/// What to do about the image's account files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// The image knows user and group 1983.
    InImage,
    /// These two files are to be mounted over the image's.
    Generated {
        /// Content of `/etc/passwd`.
        passwd: Vec<u8>,
        /// Content of `/etc/group`.
        group: Vec<u8>,
    },
}

/// Decides from the image's files (`None` when it has none).
pub fn accounts(passwd: Option<&[u8]>, group: Option<&[u8]>) -> Accounts {
    let (passwd, group) = (passwd.unwrap_or_default(), group.unwrap_or_default());
    let (has_user, has_group) = (names_id(passwd, 2), names_id(group, 2));
    if has_user && has_group {
        return Accounts::InImage;
    }
    let name_taken = |file: &[u8]| {
        lines(file).any(|line| line.split(|b| *b == b':').next() == Some(RUN_NAME.as_bytes()))
    };
    let free = |file: &[u8]| match name_taken(file) {
        true => format!("{RUN_NAME}-{RUN_ID}"),
        false => RUN_NAME.to_owned(),
    };
    let user = format!("{}:x:{RUN_ID}:{RUN_ID}::{HOME}:/bin/sh\n", free(passwd));
    let team = format!("{}:x:{RUN_ID}:\n", free(group));
    Accounts::Generated {
        passwd: extended(passwd, has_user, "root:x:0:0:root:/root:/bin/sh\n", &user),
        group: extended(group, has_group, "root:x:0:\n", &team),
    }
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
}

fn names_id(file: &[u8], field: usize) -> bool {
    let id = RUN_ID.to_string();
    lines(file).any(|line| line.split(|b| *b == b':').nth(field) == Some(id.as_bytes()))
}

fn extended(file: &[u8], complete: bool, root: &str, line: &str) -> Vec<u8> {
    let mut file = match file.is_empty() {
        true => root.as_bytes().to_vec(),
        false => file.to_vec(),
    };
    if !file.ends_with(b"\n") {
        file.push(b'\n');
    }
    if !complete {
        file.extend_from_slice(line.as_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    type File<'a> = Option<&'a [u8]>;

    #[test]
    fn images_with_the_account_stay_as_they_are() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nspacelift:x:1983:1983::/home/spacelift:/bin/sh\n";
        let group = b"root:x:0:\nteam:x:1983:\n";
        assert_eq!(accounts(Some(passwd), Some(group)), Accounts::InImage);
    }

    #[test]
    fn what_lacks_is_added_and_what_is_there_is_kept() {
        let cases: [(File<'_>, File<'_>, &str, &str); 4] = [
            (
                None,
                None,
                "root:x:0:0:root:/root:/bin/sh\nspacelift:x:1983:1983::/home/spacelift:/bin/sh\n",
                "root:x:0:\nspacelift:x:1983:\n",
            ),
            (
                Some(b"root:x:0:0::/:/bin/ash\nnobody:x:65534:65534::/:/bin/false"),
                Some(b"root:x:0:\n"),
                "root:x:0:0::/:/bin/ash\nnobody:x:65534:65534::/:/bin/false\nspacelift:x:1983:1983::/home/spacelift:/bin/sh\n",
                "root:x:0:\nspacelift:x:1983:\n",
            ),
            (
                Some(b"runner:x:1983:1000::/home/runner:/bin/sh\n"),
                Some(b"root:x:0:\n"),
                "runner:x:1983:1000::/home/runner:/bin/sh\n",
                "root:x:0:\nspacelift:x:1983:\n",
            ),
            (
                Some(b"spacelift:x:1000:1983::/h:/bin/sh\n"),
                Some(b"x:x:11983:\n"),
                "spacelift:x:1000:1983::/h:/bin/sh\nspacelift-1983:x:1983:1983::/home/spacelift:/bin/sh\n",
                "x:x:11983:\nspacelift:x:1983:\n",
            ),
        ];
        for (passwd, group, new_passwd, new_group) in cases {
            let Accounts::Generated { passwd, group } = accounts(passwd, group) else {
                panic!("expected generated files");
            };
            assert_eq!(String::from_utf8_lossy(&passwd), new_passwd);
            assert_eq!(String::from_utf8_lossy(&group), new_group);
        }
    }
}
