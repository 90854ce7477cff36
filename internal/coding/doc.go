// Package coding is content coding at the edge (RFC 9110 §8.4, §12.5.3): which coding a response gets, and the encoders.
package coding
