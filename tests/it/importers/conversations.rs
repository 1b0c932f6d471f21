//! Conversations with scripted servers: paging and its quirks, without any network.
