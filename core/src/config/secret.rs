//! A password in a configuration: it comes out only where it is asked for by name.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// What stands for it wherever a configuration is shown.
const HIDDEN: &str = "(hidden)";
/// A file that is larger holds something else.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Text that is never shown: not in logs, not in errors, not when a configuration is written out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text of a file without the line ending that editors leave behind.
    ///
    /// # Errors
    /// When the file can't be read, is empty or is too large; the error names the file and shows nothing of it.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let refused = |reason: &str| std::io::Error::other(format!("{}: {reason}", path.display()));
        let told = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if std::fs::metadata(path).map_err(told)?.len() > FILE_BYTES_MAX {
            return Err(refused("a password is not longer than 64 KiB"));
        }
        let text = std::fs::read_to_string(path).map_err(told)?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(refused("the file holds no password")),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_nowhere() -> Result<(), Box<dyn std::error::Error>> {
        let secret: Secret = serde_json::from_str("\"geheim\"")?;
        assert_eq!(secret.reveal(), "geheim");
        assert_eq!((format!("{secret:?}"), serde_json::to_string(&secret)?), (HIDDEN.into(), format!("\"{HIDDEN}\"")));
        Ok(())
    }

    #[test]
    fn a_file_is_read_without_its_line_ending() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("password");
        std::fs::write(&path, " with spaces \r\n")?;
        assert_eq!(Secret::read(&path)?.reveal(), " with spaces ");
        std::fs::write(&path, "\n")?;
        let refused = Secret::read(&path).err().ok_or("an empty file")?.to_string();
        assert!(refused.contains("password: the file holds no password"), "{refused}");
        Ok(())
    }
}
