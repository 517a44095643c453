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
	m.leafOf = make([]uint32, 0, len(m.walk.nodes))
	for i := range f.trees {
		m.linear[i] = f.trees[i].linear
		m.leafOf = append(m.leafOf, leafNumbers(&f.trees[i])...)
	}
}

// leafNumbers returns, in the order of walkTable.add, the leaf that stands at each place.
func leafNumbers(t *tree) []uint32 {
	if len(t.splits) == 0 {
		return []uint32{0}
	}
	queue := append(make([]int32, 0, len(t.splits)+len(t.leaves)), 0)
	numbers := make([]uint32, 0, cap(queue))
	for k := 0; k < len(queue); k++ {
		v := queue[k]
		if v < 0 {
			numbers = append(numbers, uint32(^v))
			continue
		}
		numbers = append(numbers, 0)
		queue = append(queue, t.splits[v].left, t.splits[v].right)
	}
	return numbers
}

// sumLinear is the sum of leaves where some are linear models of the row.
func (m *ensemble) sumLinear(row []float64, leaves []uint32, margins []float64) {
	clear(margins)
	k := 0
	for t, l := range leaves {
		v := m.walk.values[l]
		if m.linear[t] != nil {
			v = m.linear[t].value(int(m.leafOf[l]), row, v)
		}
		margins[k] += v
		if k++; k == len(margins) {
			k = 0
		}
	}
}
