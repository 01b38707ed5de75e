//! Sealing to the pool key: the age format (age-encryption.org/v1) with the pool's RSA key as recipient.
//!
//! Sealing needs only the public key, so a sealed blob proves nothing about who made it: every blob is
//! covered by a signature that the reader checks first. RUSTSEC-2023-0071 (timing of RSA decryption) is
//! met by blinded decryption in age and by that order: nobody without a trusted signing key gets a
//! ciphertext decrypted here.

use std::io::{self, Read, Write};

use super::{PoolKey, PoolPublic};

/// Why sealing or opening failed. Says nothing about the key or the content.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Writing or reading failed.
    #[error("could not write or read the sealed data")]
    Io(#[from] io::Error),
    /// The data is not sealed to this key, or was changed.
    #[error("the sealed data is not for this pool's key, or it was changed")]
    NotForUs,
    /// The key has no form that the sealing format takes.
    #[error("the pool key can't be used for sealing")]
    Key,
}

/// Writes sealed bytes; [`SealWriter::finish`] must be called, or the result can't be opened.
pub struct SealWriter<W: Write>(age::stream::StreamWriter<W>);

/// Starts sealing into `output`.
///
/// # Errors
/// [`SealError::Key`] or [`SealError::Io`].
pub fn sealer<W: Write>(recipient: &PoolPublic, output: W) -> Result<SealWriter<W>, SealError> {
    let line = recipient.openssh_line();
    let recipient: age::ssh::Recipient = line.parse().map_err(|_| SealError::Key)?;
    let recipients = std::iter::once(&recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|_| SealError::Key)?;
    Ok(SealWriter(encryptor.wrap_output(output)?))
}

impl<W: Write> SealWriter<W> {
    /// Writes the last chunk and gives the output back.
    ///
    /// # Errors
    /// What writing gave.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Opens a sealed stream. A change anywhere shows as an error of a later `read`: use nothing of what was
/// read before the end was reached.
///
/// # Errors
/// [`SealError::NotForUs`] when the header is not for this key.
pub fn opener<R: Read>(key: &PoolKey, input: R) -> Result<impl Read + use<R>, SealError> {
    let pem = key.to_pem();
    let identity = age::ssh::Identity::from_buffer(io::Cursor::new(pem.expose()), None)?;
    let decryptor = age::Decryptor::new(input).map_err(|_| SealError::NotForUs)?;
    let identities = std::iter::once(&identity as &dyn age::Identity);
    decryptor
        .decrypt(identities)
        .map_err(|_| SealError::NotForUs)
}

/// Seals a small document.
///
/// # Errors
/// See [`sealer`].
pub fn seal(recipient: &PoolPublic, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut writer = sealer(recipient, Vec::new())?;
    writer.write_all(plain)?;
    Ok(writer.finish()?)
}

/// Opens a small document of at most `limit` bytes.
///
/// # Errors
/// [`SealError::NotForUs`] when it is not for this key, was changed, or is longer.
pub fn open(key: &PoolKey, sealed: &[u8], limit: usize) -> Result<Vec<u8>, SealError> {
    let mut plain = Vec::new();
    let mut reader = opener(key, sealed)?.take(limit as u64 + 1);
    reader
        .read_to_end(&mut plain)
        .map_err(|_| SealError::NotForUs)?;
    if plain.len() > limit {
        Err(SealError::NotForUs)
    } else {
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn sealed_to_one_pool_opens_only_there() {
        let (ours, theirs) = (
            PoolKey::generate(2048).unwrap(),
            PoolKey::generate(2048).unwrap(),
        );
        let sealed = seal(&ours.public(), b"plan").unwrap();
        assert_eq!(open(&ours, &sealed, 100).unwrap(), b"plan");
        assert!(matches!(
            open(&theirs, &sealed, 100),
            Err(SealError::NotForUs)
        ));
        assert!(matches!(open(&ours, &sealed, 3), Err(SealError::NotForUs)));
    }

    #[test]
    fn a_change_anywhere_is_noticed() {
        let key = PoolKey::generate(2048).unwrap();
        let sealed = seal(&key.public(), &[7; 1000]).unwrap();
        for at in (0..sealed.len()).step_by(13) {
            let mut changed = sealed.clone();
            changed[at] ^= 4;
            assert!(open(&key, &changed, 4096).is_err(), "byte {at}");
        }
        assert!(open(&key, &sealed[..sealed.len() - 1], 4096).is_err());
    }

    #[test]
    fn the_key_survives_its_pem() {
        let key = PoolKey::generate(2048).unwrap();
        let again = PoolKey::from_pem(&key.to_pem()).unwrap();
        let sealed = seal(&key.public(), b"x").unwrap();
        assert_eq!(open(&again, &sealed, 10).unwrap(), b"x");
        assert!(PoolKey::from_pem(&Secret::new("hello")).is_err());
    }
}
