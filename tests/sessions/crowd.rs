//! Many clients and large values on a pool of one.
