package jose

import "bytes"

// names are those of one object. The few that an object mostly has are compared
// one by one; many go into a map, so that the work stays proportional to the
// text.
type names struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// add reports false where name is there already.
func (k *names) add(name []byte) bool {
	if k.many == nil {
		for _, other := range k.few[:k.n] {
			if bytes.Equal(other, name) {
				return false
			}
		}
		if k.n < len(k.few) {
			k.few[k.n] = name
			k.n++
			return true
		}
		k.many = make(map[string]struct{}, 4*len(k.few))
		for _, other := range k.few {
			k.many[string(other)] = struct{}{}
		}
	}
	if _, twice := k.many[string(name)]; twice {
		return false
	}
	k.many[string(name)] = struct{}{}
	return true
}
