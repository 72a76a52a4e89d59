// Package api is the HTTP API: it authenticates, authorises, decodes, lets the
// store or a subsystem act, and encodes. The command line, the console and other
// sites have no other way in.
//
// # What it promises
//
//   - Authentication comes before routing. Without a valid bearer token every
//     path answers 401, whether it exists or not; only /healthz and /readyz are
//     open. /v2/ is the gallery's, which authenticates as OCI clients expect.
//   - A 2xx to a write means that it is on disk: the answer follows the store's
//     commit.
//   - One table (resource.Code) maps codes to statuses. What carries no code is
//     logged whole under an id and shown as "internal" with that id.
//   - Bodies, headers, waits and streams have limits. A watcher that does not
//     read is cut off; one that fell too far behind is told to list again (410).
//   - Lists and watches show what the caller's scope covers. A single document
//     outside it is 403 without looking whether it exists, so that nothing is
//     learnt from the answer.
//   - No secret is logged or listed. Queries are never logged.
//   - The OpenAPI document is made from the same declarations that route and
//     parse requests. A query parameter that it does not name is refused:
//     a mistyped dryRun must not become a write.
//
// # Writes
//
// A PUT is one store transaction: read the old document, compare If-Match, ask
// the kind's Writer, which validates and writes. A dry run is the same
// transaction rolled back, so that it cannot promise what a write would not do.
// Apply puts any number of documents in one transaction: all or none.
//
// # What a crash does
//
// Nothing is kept here. A crash before the commit leaves nothing written, after
// it the client may not see the answer: PUT and DELETE can be repeated, and
// If-Match tells whether the first try was carried out. A watch is resumed by
// the revision of the last event seen.
package api
