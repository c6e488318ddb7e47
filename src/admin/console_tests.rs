//! How texts are read.
