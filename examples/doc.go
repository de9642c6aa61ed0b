// Package examples holds what concerns several packages of the module at once:
// the program of the README, the allocations of a whole chain, and its benchmark
// beside the floor. The programs lie in the directories below.
package examples
