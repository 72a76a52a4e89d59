// Package gallery keeps images: an OCI registry below /v2/ and, for every tag
// that is a version (Major.Minor.Patch), an ImageVersion document.
//
// The registry is distribution's, on the file system, behind Drover's own
// authentication, roles and rules. Promises:
//
//   - Nothing below /v2/ answers without a token; what a token may see and do is
//     decided for each repository before the request is looked at any further.
//   - A version never changes: the same content again is accepted, other content
//     is a conflict. All other tags move.
//   - A version that a scale set runs, ran last or is rolling to cannot be
//     deleted, neither its document nor its tag nor its manifest, nor a manifest
//     that an index in use refers to. Blobs are never deleted by clients.
//   - When a push is acknowledged, its blobs, links and folders are fsynced and
//     the version's document is in the store.
//   - What is handed to compute was compared with its digest. A blob that does not
//     fit is set aside below damaged/ and the push that brings it again heals it.
//   - No push takes the last of the disk: it is refused, or ended, with 507.
//
// # Crashes
//
// Writes to one repository happen one after another, under its lock. A push
// writes blobs, then the manifest, then the tag, then the documents, then
// answers. A crash before the tag leaves blobs that nothing refers to; one between
// tag and documents leaves a tag without a document, which was never
// acknowledged: the next start, or the first request for that tag, adds the
// document. A deletion removes the document and notes the tag in the image's
// status in one transaction, then removes the tag, then the note; it goes on from
// the note. Uploads that nobody continues for a day are removed.
//
// Documents without their content (deleted or damaged behind Drover's back) keep
// their place and say so in the condition ContentMissing; a tag that alone was
// lost is written again.
package gallery
