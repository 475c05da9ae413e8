//! Load-time constants: where this kernel keeps the struct members guard reads, resolved from BTF by the daemon.

/// A member this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Bytes of a `struct dentry` that are read at once: from `d_parent` on, with length and address of the name in them.
pub const DENTRY_PART: usize = 32;

/// Declares [`Offsets`] and the list the daemon resolves it from, so that the two cannot differ.
macro_rules! offsets {
    ($($field:ident = $struct_name:literal . $path:literal),* $(,)?) => {
        /// Byte offsets of struct members in the running kernel; [`ABSENT`] where it has none.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Offsets {
            $(#[doc = concat!("`", $struct_name, ".", $path, "`")] pub $field: u32,)*
        }

        impl Offsets {
            /// Nothing is known yet.
            pub const UNKNOWN: Self = Self { $($field: ABSENT,)* };

            /// `(struct, member path)` of every field, in the order of the fields.
            pub const MEMBERS: &'static [(&'static str, &'static str)] = &[$(($struct_name, $path),)*];

            /// From values in the order of [`Self::MEMBERS`]; `None` if there are too few.
            #[must_use]
            pub fn from_slice(values: &[u32]) -> Option<Self> {
                let mut values = values.iter().copied();
                Some(Self { $($field: values.next()?,)* })
            }
        }
    };
}

offsets! {
    dentry_parent = "dentry"."d_parent",
    dentry_inode = "dentry"."d_inode",
    dentry_name_hash = "dentry"."d_name.hash",
    dentry_hashed = "dentry"."d_hash.pprev",
    dentry_name_len = "dentry"."d_name.len",
    dentry_name = "dentry"."d_name.name",
    dentry_sb = "dentry"."d_sb",
    mount_mnt = "mount"."mnt",
    mount_parent = "mount"."mnt_parent",
    mount_mountpoint = "mount"."mnt_mountpoint",
    mount_namespace = "mount"."mnt_ns",
    socket_sock = "socket"."sk",
    socket_file = "socket"."file",
    message_name = "msghdr"."msg_name",
    message_name_len = "msghdr"."msg_namelen",
    sock_family = "sock"."__sk_common.skc_family",
    sock_port = "sock"."__sk_common.skc_dport",
    sock_address = "sock"."__sk_common.skc_daddr",
    sock_address6 = "sock"."__sk_common.skc_v6_daddr",
    unix_peer = "unix_sock"."peer",
    unix_address = "unix_sock"."addr",
    unix_address_len = "unix_address"."len",
    unix_address_name = "unix_address"."name",
    unix_dentry = "unix_sock"."path.dentry",
    unix_mount = "unix_sock"."path.mnt",
    vfsmount_root = "vfsmount"."mnt_root",
    inode_ino = "inode"."i_ino",
    inode_mode = "inode"."i_mode",
    inode_sb = "inode"."i_sb",
    inode_size = "inode"."i_size",
    inode_rdev = "inode"."i_rdev",
    inode_nlink = "inode"."i_nlink",
    inode_uid = "inode"."i_uid",
    inode_generation = "inode"."i_generation",
    sb_dev = "super_block"."s_dev",
    sb_magic = "super_block"."s_magic",
    sb_id = "super_block"."s_id",
    file_path = "file"."f_path",
    file_inode = "file"."f_inode",
    file_flags = "file"."f_flags",
    file_mode = "file"."f_mode",
    file_private = "file"."private_data",
    task_flags = "task_struct"."flags",
    task_start_boottime = "task_struct"."start_boottime",
    task_pid = "task_struct"."pid",
    task_tgid = "task_struct"."tgid",
    task_mm = "task_struct"."mm",
    task_fs = "task_struct"."fs",
    task_comm = "task_struct"."comm",
    task_real_parent = "task_struct"."real_parent",
    task_leader = "task_struct"."group_leader",
    task_cred = "task_struct"."cred",
    cred_uid = "cred"."uid",
    task_status = "task_struct"."thread_info.status",
    task_files = "task_struct"."files",
    task_namespaces = "task_struct"."nsproxy",
    namespaces_mount = "nsproxy"."mnt_ns",
    task_ptraced = "task_struct"."ptraced",
    task_ptrace_entry = "task_struct"."ptrace_entry",
    files_fdt = "files_struct"."fdt",
    fdtable_max_fds = "fdtable"."max_fds",
    fdtable_fd = "fdtable"."fd",
    task_cgroups = "task_struct"."cgroups",
    css_set_dfl_cgrp = "css_set"."dfl_cgrp",
    cgroup_kn = "cgroup"."kn",
    kernfs_node_id = "kernfs_node"."id",
    mm_arg_start = "mm_struct"."arg_start",
    mm_arg_end = "mm_struct"."arg_end",
    mm_exe_file = "mm_struct"."exe_file",
    fs_pwd = "fs_struct"."pwd",
    bprm_file = "linux_binprm"."file",
    bprm_argc = "linux_binprm"."argc",
    bprm_filename = "linux_binprm"."filename",
    bprm_interp = "linux_binprm"."interp",
    qstr_name = "qstr"."name",
}

impl Offsets {
    /// The members read at once lie within [`DENTRY_PART`] bytes.
    #[must_use]
    pub const fn dentry_part_fits(&self) -> bool {
        let from = self.dentry_parent;
        self.dentry_name_len >= from
            && self.dentry_name >= from
            && self.dentry_name_len - from <= DENTRY_PART as u32 - 4
            && self.dentry_name - from <= DENTRY_PART as u32 - 8
    }
}
