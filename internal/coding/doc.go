// Package coding is content coding at the edge (RFC 9110 §8.4, §12.5.3): which coding a response gets, and the encoders.
//
//	request                                    response, identity, from the cache or the origin
//	Accept-Encoding ──► Accept.Best ──┐          │
//	If-None-Match ──► AppendTagsOf    └─► Response.Refuse ──► TagFor, Pool.NewWriter ──► client
//
// Everything but [Pool] is a pure function. What the edge encodes is gzip, zstd and br; it decodes nothing.
//
// # Levels
//
// Megabytes per second and ratio of bodies of 100 KB on one core of an AMD EPYC that others used too, the best of several runs
// of BenchmarkEncode; the samples have made-up words, so compare the rows and not the figures:
//
//	coding level   JSON MB/s  ratio   HTML MB/s  ratio
//	gzip   1             412   3.05         290   3.02
//	gzip   5 *           156   3.35         174   3.38
//	gzip   6             142   3.41         144   3.45
//	gzip   7              50   3.47          43   3.50
//	gzip   9              21   3.54          19   3.59
//	zstd   1             231   3.25         233   3.17
//	zstd   2 *           229   3.42         189   3.37
//	zstd   3             107   3.46         127   3.46
//	zstd   4              19   3.60          27   3.59
//	br     1             146   3.20         146   3.16
//	br     4              49   3.43          47   3.37
//	br     5 *            28   3.61          32   3.56
//	br     6              26   3.65          28   3.62
//	br     11            0.6   4.02         0.5   3.96
//
// The defaults (*) are for encoding while the client waits. br 4 is as large as zstd 2 and takes four times as long, so that br
// pays from 5 on. Who has more bytes to encode than cores offers zstd and gzip alone: a few percent more bytes for a sixth of the
// time. br 11 is for what is encoded once and kept.
//
// # Memory
//
// What an encoder in use at its default level holds (BenchmarkMemory), in MiB:
//
//	       small events  after 100 KB  after 1 MiB
//	gzip            1.1           1.1          1.1
//	zstd            2.1           1.4          2.5
//	br              1.7           2.4          4.1
//
// A hundred streams of events in br are some 170 MiB: the caller sets a limit. Idle encoders go with the garbage collector.
package coding
