//! The Ed25519 key that signs checkpoints, as files that `openssl` reads. Used for nothing else.
#![forbid(unsafe_code)]

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;
use base64ct::{Base64, Encoding as _};
use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        spki::der::pem::LineEnding,
    },
};

use super::chain::Digest;

/// Signs.
pub struct Private(SigningKey);

/// Says whether a signature is right.
#[derive(Clone, Debug)]
pub struct Public(VerifyingKey);

impl Private {
    /// The key in this file; a new one is made where there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read or is no Ed25519 key in PKCS#8 PEM, or none can be written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let key = SigningKey::from_pkcs8_pem(&text);
                key.map(Self).map_err(|error| anyhow::anyhow!("{} is no Ed25519 key: {error}", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(path).with_context(|| format!("cannot make the key {}", path.display()))
            }
            Err(error) => Err(error).with_context(|| format!("cannot read the key {}", path.display())),
        }
    }

    fn make(path: &Path) -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        let mut filled = 0;
        while filled < seed.len() {
            filled += rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty())?;
        }
        let key = SigningKey::from_bytes(&seed);
        let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow::anyhow!("{error}"))?;
        replace(path, text.as_bytes(), 0o600)?;
        Ok(Self(key))
    }

    /// Base64.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> String {
        Base64::encode_string(&self.0.sign(bytes).to_bytes())
    }

    #[must_use]
    pub fn public(&self) -> Public {
        Public(self.0.verifying_key())
    }
}

impl Public {
    /// # Errors
    /// When the file cannot be read or is no Ed25519 key in PEM.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))?;
        let key = VerifyingKey::from_public_key_pem(&text);
        key.map(Self).map_err(|error| anyhow::anyhow!("{} is no public Ed25519 key: {error}", path.display()))
    }

    /// Writes it where it is not there already. Another key that is there stays, under a name with its fingerprint: what it
    /// signed is signed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = self.0.to_public_key_pem(LineEnding::LF).map_err(|error| anyhow::anyhow!("{error}"))?;
        match fs::read(path) {
            Ok(there) if there == text.as_bytes() => return Ok(()),
            Ok(there) => fs::rename(path, path.with_extension(format!("{:.16}.pub", Digest::of(&there).to_string())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(replace(path, text.as_bytes(), 0o644)?)
    }

    /// The key at `path`, and those that were there before it.
    ///
    /// # Errors
    /// When the directory cannot be listed, or a key not be read.
    pub fn all(path: &Path) -> anyhow::Result<Vec<Self>> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut keys = Vec::new();
        for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.strip_prefix(&*stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".pub")) {
                keys.push(Self::read(&entry.path())?);
            }
        }
        Ok(keys)
    }

    /// SHA-256 of the key as DER, which `openssl pkey -pubin -outform DER | sha256sum` says too.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.to_public_key_der().map_or_else(|error| error.to_string(), |der| Digest::of(der.as_bytes()).to_string())
    }

    /// Whether `signature`, in base64, is of these bytes.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = Base64::decode_vec(signature) else { return false };
        Signature::from_slice(&signature).is_ok_and(|signature| self.0.verify_strict(bytes, &signature).is_ok())
    }
}

/// Writes a file in one step: what is cut off would be a key nobody has.
///
/// # Errors
/// When it cannot be written; what was there stands then.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_one_that_was_there_before_is_kept() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        let first = Private::open(&at("key")).expect("it is made");
        let signature = first.sign(b"text");
        let again = Private::open(&at("key")).expect("it is there");
        assert_eq!(again.public().fingerprint(), first.public().fingerprint());
        first.public().write(&at("audit.pub")).expect("written");
        let second = Private::open(&at("other")).expect("it is made");
        second.public().write(&at("audit.pub")).expect("written");
        assert_eq!(Public::read(&at("audit.pub")).expect("a key").fingerprint(), second.public().fingerprint());
        let keys = Public::all(&at("audit.pub")).expect("keys");
        let good = |bytes: &[u8], signature: &str| keys.iter().filter(|key| key.verifies(bytes, signature)).count();
        assert_eq!((keys.len(), good(b"text", &signature), good(b"texT", &signature), good(b"text", "")), (2, 1, 0, 0));
        fs::write(at("key"), "no key").expect("written");
        assert!(Private::open(&at("key")).is_err(), "a key that cannot be read is not replaced");
    }
}
