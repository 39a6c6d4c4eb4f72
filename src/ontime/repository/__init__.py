"""Operations on the checkout itself: a fork's own table, the lock, the cache, a local S3 server."""
