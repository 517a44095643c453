package models

// addLinear takes over the linear models of the leaves, if there are any.
func (m *ensemble) addLinear(f *forest) {
	linear := false
	for i := range f.trees {
		linear = linear || f.trees[i].linear != nil
	}
	if !linear {
		return
	}
	m.linear = make([]*linearLeaves, len(f.trees))
	for i := range f.trees {
		m.linear[i] = f.trees[i].linear
	}
}

// sumLinear is the sum of leaves where some are linear models of the row.
func (m *ensemble) sumLinear(row []float64, leaves []uint32, margins []float64) {
	clear(margins)
	k := 0
	for t, l := range leaves {
		v := m.walk.values[l]
		if m.linear[t] != nil {
			v = m.linear[t].value(int(l-m.walk.first[t]), row, v)
		}
		margins[k] += v
		if k++; k == len(margins) {
			k = 0
		}
	}
}
