package jose

import "math/big"

// isROCA reports whether n has the fingerprint of the generator of CVE-2017-15361
// (Nemec et al., "The Return of Coppersmith's Attack", section 2.1): modulo every
// small prime, n is a power of 65537. For a key made elsewhere that is as good as
// impossible.
func isROCA(n *big.Int) bool {
	rest := new(big.Int)
	for _, p := range [...]uint64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
		89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		if !isPower(rest.Mod(n, new(big.Int).SetUint64(p)).Uint64(), 65537%p, p) {
			return false
		}
	}
	return true
}

// isPower reports whether x is a power of base modulo p.
func isPower(x, base, p uint64) bool {
	power := uint64(1)
	for range p {
		if power == x {
			return true
		}
		power = power * base % p
	}
	return false
}
