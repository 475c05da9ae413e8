//! What an object must be: type, size, links, owner, device. Judged from the kernel's record; what it does not say is
//! unknown.

use super::{
    act::Act,
    amount::Range,
    argv::Answer,
    syntax::ObjectType,
    touch::Touch,
    who::{Device, Owner, User},
};
use crate::{
    circumstances::{Found, Need, Needs},
    operation::Operation,
};

/// All that is given must be so; of a list, any.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectMatch {
    pub(crate) types: Vec<ObjectType>,
    pub(crate) size: Option<Range>,
    pub(crate) links: Option<Range>,
    pub(crate) owner: Vec<Owner>,
    pub(crate) device: Vec<Device>,
}

impl ObjectMatch {
    pub(crate) fn needs(&self) -> Needs {
        let by_name = |owner: &Owner| match owner {
            Owner::User(User::Name(_)) => true,
            Owner::User(User::Id(_)) | Owner::Own | Owner::Other => false,
        };
        if self.owner.iter().any(by_name) { Needs::of(Need::Users) } else { Needs::NONE }
    }

    /// It says something that a type does not.
    pub(crate) fn has_measures(&self) -> bool {
        self.size.is_some() || self.links.is_some() || !self.owner.is_empty()
    }

    pub(crate) fn answer(&self, touch: &Touch<'_>, operation: &Operation, facts_known: bool) -> Answer {
        if self.types.is_empty() && self.device.is_empty() && !self.has_measures() {
            return Answer::Yes;
        }
        if !facts_known {
            return Answer::Unknown;
        }
        let made = matches!(touch.act, Act::Mknod | Act::Symlink);
        // What is to be made is not there yet.
        let mode = match touch.act {
            Act::Mknod => u32::try_from(operation.detail[0]).unwrap_or(0),
            Act::Symlink => 0o120_000,
            _ => touch.object.mode,
        };
        let of_type = Answer::of(self.types.is_empty() || self.types.iter().any(|object| object.is(mode)));
        // Without an inode the kernel saw no object: either there is none, or this tier cannot see it.
        let seen = made || touch.object.ino != 0;
        let measured = if seen { self.measured(touch, operation, made) } else { Answer::Unknown };
        let rdev = if touch.act == Act::Mknod { number_of(operation.detail[1]) } else { Some(touch.object.rdev) };
        let of_device = match (self.device.is_empty(), rdev) {
            (true, _) => Answer::Yes,
            (false, Some(rdev)) if seen => Answer::of(self.device.iter().any(|device| device.is(rdev))),
            (false, _) => Answer::Unknown,
        };
        of_type.min(if self.has_measures() { measured } else { Answer::Yes }).min(of_device)
    }

    fn measured(&self, touch: &Touch<'_>, operation: &Operation, made: bool) -> Answer {
        let object = touch.object;
        let (size, links) = if made { (0, 1) } else { (object.size, u64::from(object.nlink)) };
        let uid = if made { operation.uid } else { object.uid };
        let plain =
            self.size.is_none_or(|range| range.contains(size)) && self.links.is_none_or(|range| range.contains(links));
        let owners = self.owner.iter().map(|owner| match owner {
            Owner::Own => Answer::of(uid == operation.uid),
            Owner::Other => Answer::of(uid != operation.uid),
            Owner::User(user) => user.answer(uid, &operation.circumstances.users),
        });
        let owned = if self.owner.is_empty() { Answer::Yes } else { owners.max().unwrap_or(Answer::No) };
        Answer::of(plain).min(owned)
    }
}

impl User {
    /// Is this the user with the number `uid`?
    pub(crate) fn answer(&self, uid: u32, users: &Found<Vec<(u32, String)>>) -> Answer {
        match self {
            Self::Id(id) => Answer::of(*id == uid),
            Self::Name(name) => match users.known().and_then(|users| users.iter().find(|(_, known)| known == name)) {
                Some((id, _)) => Answer::of(*id == uid),
                // Not among the users of this host: a directory service may know the name.
                None => Answer::Unknown,
            },
        }
    }
}

/// The device number of `mknod(2)` (12 bits of minor around 12 of major) as the kernel keeps it.
fn number_of(dev: u64) -> Option<u32> {
    let dev = u32::try_from(dev).ok()?;
    let (major, minor) = ((dev & 0xf_ff00) >> 8, (dev & 0xff) | ((dev >> 12) & 0xf_ff00));
    Some(major << 20 | minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_number_of_mknod_is_read_as_the_kernel_reads_it() {
        assert_eq!(number_of(0x0801), Some(8 << 20 | 1));
        assert_eq!(number_of(0x0010_0301), Some(3 << 20 | 0x101));
        assert_eq!(number_of(1 << 40), None);
    }
}
