//! Is the proxy ready?
