//! From rules files to kernel tables, and the judgement of one operation. No IO but reading the files.
