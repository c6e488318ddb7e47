//! SET, RESET and SHOW in all their spellings.
