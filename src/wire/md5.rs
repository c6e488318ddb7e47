//! The MD5 password response, for shards that still store such passwords.

/// What answers an MD5 request: `md5` and the hash of the salt and the hash of password and user.
pub fn md5_response(user: &str, password: &str, salt: [u8; 4]) -> String {
    pgwire::api::auth::md5pass::hash_md5_password(user, password, &salt)
}
