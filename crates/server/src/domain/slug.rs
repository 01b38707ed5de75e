//! Ids that people choose: one rule, a type for each kind of thing. Pure.

/// A slug's type and the error of a text that is none.
macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $error:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        #[doc = concat!("A text that is no ", $what, "'s id.")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("`{0}` is not the id of a {what}: expected 1 to 100 lower-case letters, digits, `-` or `_`, starting with a letter or digit", what = $what)]
        pub struct $error(String);

        impl $name {
            /// The slug.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<gantry_protocol::StackId> for $name {
            fn from(slug: gantry_protocol::StackId) -> Self {
                Self(slug.into())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                let slug: Result<gantry_protocol::StackId, _> = text.parse();
                let refused = |_| $error(text.chars().take(64).collect());
                slug.map(Self::from).map_err(refused)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use slug_id;
