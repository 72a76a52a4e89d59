// Package demo is `drover demo`: the main job on real processes, live, within a
// bounded time. It starts a server with everything embedded in a temporary folder,
// rolls a sample program out under load, once well and once to a version that
// breaks, and judges what it saw. What it started is gone when it returns, also
// after Ctrl-C; a kill -9 of the demo itself leaves the folder, and
// `drover down --data FOLDER` stops what runs from it.
package demo
