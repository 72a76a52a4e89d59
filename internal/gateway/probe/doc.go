// Package probe asks processes over the network whether they are healthy.
//
// Two who ask the same (address, process, path, interval, time-out) share one
// prober and see the same consecutive counts; what they make of them (Judge) is
// their own. A prober begins quickly: at once, then after 25, 50, 100 … ms up to
// the interval, until the first success; then once an interval. Hurry makes it
// quick again, for example when a request found nobody listening.
//
// An HTTP probe is healthy when it is answered by exactly 200, by HTTP/1.1 or, where a
// load balancer speaks that to its instances, HTTP/2 without TLS. Redirects are not
// followed, and at most 64 KiB of the answer are read. Once asks a single time, for
// an answer that may be another.
package probe
