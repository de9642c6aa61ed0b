// Package wycheproof runs the corpora of Project Wycheproof that are about JOSE
// against what package bearer verifies tokens with, and against other libraries,
// with one harness. It has tests only.
//
// It is a module of its own because the module that holds the corpora wants a
// newer Go than the library does. [exceptions] lists every case in which the
// library disagrees with a corpus, and why.
package wycheproof
