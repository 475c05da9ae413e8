//! guardctl: one verb per file; `render` alone prints.
