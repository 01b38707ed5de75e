//! One row per golden file: what it holds, and how strictly it is read.
//!
//! Takes a value, gives checks that name the file. Never: a golden file changed by a check; what a value
//! writes today is left in the build directory, to be copied by a person who read the rule.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a reader does with a field that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Refuses the message.
    Refused,
    /// Reads the rest.
    Ignored,
    /// The file holds no object at its top.
    Inapplicable,
}

type Read = dyn Fn(&str) -> Result<(), String>;

/// A golden file and the value that it holds.
pub(crate) struct Golden {
    name: String,
    json: String,
    unknown: Unknown,
    read: Box<Read>,
}

/// Directory of the golden files.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// Text of a golden file, which has to exist.
pub(crate) fn text(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Golden {
    /// The row for `value` in the file `name`.json.
    pub(crate) fn new<T>(name: impl Into<String>, unknown: Unknown, value: T) -> Self
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + 'static,
    {
        let json = serde_json::to_string_pretty(&value).unwrap() + "\n";
        let read = move |text: &str| match serde_json::from_str::<T>(text) {
            Ok(read) if read == value => Ok(()),
            Ok(read) => Err(format!("reads as {read:?}, expected {value:?}")),
            Err(error) => Err(format!("can't be read: {error}")),
        };
        Self {
            name: name.into(),
            json,
            unknown,
            read: Box::new(read),
        }
    }

    /// File name below [`root`].
    pub(crate) fn file(&self) -> String {
        format!("{}.json", self.name)
    }

    /// The file reads as the value and the value writes as the file.
    pub(crate) fn check(&self) -> Result<(), String> {
        let file = self.file();
        let found = std::fs::read_to_string(root().join(&file));
        let found = found.map_err(|error| format!("{file}: {error}; {}", self.offer()))?;
        (self.read)(&found).map_err(|why| format!("{file}: {why}; {}", self.offer()))?;
        if found == self.json {
            Ok(())
        } else {
            Err(format!(
                "{file}: is written differently now; {}",
                self.offer()
            ))
        }
    }

    /// An unknown field is met as the row says.
    pub(crate) fn check_unknown_field(&self) -> Result<(), String> {
        let mut value: serde_json::Value = serde_json::from_str(&self.json).unwrap();
        let met = match value.as_object_mut() {
            None => Unknown::Inapplicable,
            Some(fields) => {
                fields.insert("a_field_of_tomorrow".to_owned(), true.into());
                match (self.read)(&value.to_string()) {
                    Ok(()) => Unknown::Ignored,
                    Err(_) => Unknown::Refused,
                }
            }
        };
        if met == self.unknown {
            Ok(())
        } else {
            Err(format!(
                "{}: an unknown field is {met:?}, expected {:?}",
                self.file(),
                self.unknown
            ))
        }
    }

    /// Leaves what the value writes today in the build directory, and says where.
    fn offer(&self) -> String {
        let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("golden")
            .join(self.file());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &self.json).unwrap();
        format!(
            "what is written now: {} (read tests/golden/README.md first)",
            path.display()
        )
    }
}

/// Rows for every variant of an enum with data: `pattern => file, unknown field, value`.
///
/// The patterns are matched without a wildcard, so a variant without a row does not compile; a value that
/// is not of its row's pattern panics.
macro_rules! variants {
    ($type:ty, $directory:literal, $($pattern:pat => $name:literal, $unknown:expr, $value:expr;)+) => {{
        fn name(value: &$type) -> &'static str {
            match value { $($pattern => concat!($directory, "/", $name)),+ }
        }
        vec![$({
            let value: $type = $value;
            assert_eq!(name(&value), concat!($directory, "/", $name));
            $crate::table::Golden::new(name(&value), $unknown, value)
        }),+]
    }};
}

/// One row with the list of all values of an enum without data, matched exhaustively.
macro_rules! names {
    ($type:ident, $file:literal, $($variant:ident),+ $(,)?) => {{
        fn known(value: $type) -> $type {
            match value { $($type::$variant => $type::$variant),+ }
        }
        let values: Vec<$type> = vec![$(known($type::$variant)),+];
        $crate::table::Golden::new($file, $crate::table::Unknown::Inapplicable, values)
    }};
}

pub(crate) use {names, variants};
