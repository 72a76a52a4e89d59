// Package h2 is HTTP/2 (RFC 9113) over a connection that somebody else has made:
// its streams, their flow control, what is malformed, and how it ends. Frames and
// their fields' compression are the library's (golang.org/x/net/http2's Framer, and
// hpack); what a request means is package h1's, so that it is understood as if it
// had come by HTTP/1.1.
//
// # Goroutines
//
// Run reads the connection, and never waits for the peer to read: what it has to
// say waits in a bounded queue. A stream is used by goroutines of the caller's, one
// that writes and perhaps another that reads. Who appends a frame writes what waits
// to the transport, unless another goroutine is at it, which then takes it along
// (writer.go). So an answer costs one change of goroutines, from the reader to who
// handles the stream, and many answers cost few system calls. All that is shared is
// guarded by one lock a connection, which nobody holds while the transport works.
//
// # What a peer can make this end hold
//
//   - Streams: [MaxStreams] that are open, and as many again whose handlers have not
//     ended yet. What is more is refused (REFUSED_STREAM). A peer that opens streams
//     and resets them within a second, over and over, has its connection ended (ENHANCE_YOUR_CALM).
//   - Fields: twice the limit in compressed bytes, in at most 64 frames. What goes
//     beyond the limit when it is decompressed is not kept, and the request is
//     answered with 431. The tables that compress have 4 KiB.
//   - Bodies: a window of 64 KiB a stream, which grows to 512 KiB while it is read as
//     fast as it comes, and of 512 KiB for all streams of a connection.
//   - What is to be written: 64 KiB of messages, behind which streams wait, and 1000
//     answers to PING and SETTINGS, RST_STREAMs and WINDOW_UPDATEs: nothing more is
//     read of a peer that causes those and does not read them.
//   - Work: frames that carry nothing are counted against those that do.
//   - Time: [Conn.Check] ends a section of fields that does not become whole, a
//     stream that the peer takes nothing of, and a connection that is not used.
//
// # Closing
//
// Shutdown announces the end by a GOAWAY that refuses nothing, and a PING; once
// that is answered, or after a second, a second GOAWAY says which stream is the
// last one. Run returns with the end of that. A stream that its handler has not
// finished is reset, so that no part of an answer looks like all of it.
//
// # Both roles
//
// What the two ends of a connection do in the same way is in conn.go (frames,
// settings, ends), stream.go (one stream, as its users see it), receive.go and
// send.go (bodies, flow control), writer.go, header.go (fields), closed.go, leave.go.
// What they do differently is behind the interface role: which settings are sent,
// what a section on an unknown stream and another one on a known stream mean, what
// to do before the reader waits, and what a GOAWAY means. server.go is one role,
// with request.go; client.go is the other one, of who asks, with response.go.
//
// Who asks shares a connection among strangers. So what it holds for a stream that
// nobody reads is bounded by the stream's window alone, and the connection's window is
// opened as soon as something has come: no stream holds up another one. By how much
// all windows grow together is bounded too. A stream is told whether the peer can have
// done anything with its request: that is not so when the peer says so, and when the
// connection ended while the request waited to be written, which it then never is.
//
// A crash of this process ends the connections, and with them what was in flight.
package h2
