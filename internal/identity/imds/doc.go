// Package imds is the metadata endpoint of the instances: what a program on an
// Azure virtual machine finds at 169.254.169.254, so that one written for it runs
// with only the address changed.
//
// It serves /metadata/instance, /metadata/scheduledevents and /metadata/versions,
// below a secret that is the instance's own (Handler), or at the link-local
// address, where the connection says who calls (Handler.LinkLocal). A request
// without `Metadata: true` or with X-Forwarded-For, which a server may have been
// tricked into passing on, is refused. So is what no secret opens, with the answer
// of a path that does not exist. Secrets are compared as hashes, and no secret is
// in a log, an answer or an error.
//
// A scheduled event is Scheduled, then Started, then gone. Every instance of the
// scale set sees it, and any of them approves it for all. An approval is answered
// with 200 after Source.Approve has made it durable: a crash before leaves the
// client without an answer, and asking again is harmless. DocumentIncarnation is
// derived from the events alone, by Document.Next; Source keeps the documents over
// restarts, since clients remember the incarnation they have dealt with.
//
// The package holds no state but the figures of the rate limit, which a crash may
// forget.
package imds
