// Package certificate keeps what a load balancer serves TLS with as its files are.
//
// A Keeper looks at the files once in a while. What it finds is served to who
// begins TLS from then on; who is connected is not disturbed, and tickets of
// sessions stay good. A pair of files is served when both can be read and belong
// together. Until then the pair that was there before is: so a renewal may write one
// file after the other, in place or by exchanging links, in any order. Why a pair is
// not served is told; keys are in memory alone.
//
// Which pair a client gets goes by the name that it asks for: one that has that
// name, else one for *.and.the.rest, else the first of all. Of several for a name it
// gets the first that it can use.
//
// A crash loses nothing: the next process reads the files.
package certificate
