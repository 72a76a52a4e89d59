-- +goose Up
CREATE TABLE documents (
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    body     TEXT   NOT NULL,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE bookings (
    pool     TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    holder   TEXT   NOT NULL,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (pool, number)
);

-- One row: the revision of the last write, which deletions move without leaving
-- a row, how many commits there were, and the sum of the checksums of all rows.
CREATE TABLE head (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    copied   BIGINT NOT NULL,
    total    BIGINT NOT NULL,
    checksum BIGINT NOT NULL
);

-- Rows whose checksum was wrong, kept as they were found.
CREATE TABLE damaged (
    found    TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    body     TEXT   NOT NULL,
    checksum BIGINT NOT NULL
);

-- +goose Down
DROP TABLE damaged;
DROP TABLE head;
DROP TABLE bookings;
DROP TABLE documents;
