//! Lists and details for readers; keyset paging.
