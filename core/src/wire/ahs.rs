//! Additional header segments, RFC 7143 section 11.2.2.
