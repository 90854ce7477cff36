package topology

import "strings"

// nearest returns the candidate closest to word in edit distance once both are folded: an edit for every three letters, the
// first of equals. When there is none so close it returns the one that word begins, or "" when it begins several.
func nearest(word string, candidates []string, fold func(string) string) string {
	if len(word) > 64 {
		return ""
	}
	word = fold(word)
	best, bestDistance := "", len(word)/3+1
	begun, ambiguous := "", false
	for _, c := range candidates {
		folded := fold(c)
		if d := editDistance(word, folded, bestDistance); d < bestDistance {
			best, bestDistance = c, d
		}
		switch {
		case len(word) < 2 || !strings.HasPrefix(folded, word):
		case begun == "":
			begun = c
		case !strings.HasPrefix(folded, fold(begun)): // a longer form of the same name is no other
			ambiguous = true
		}
	}
	if best == "" && !ambiguous {
		return begun
	}
	return best
}

// didYouMean renders the nearest candidate as a clause, or "" when there is none.
func didYouMean(word string, candidates []string) string {
	if c := nearest(word, candidates, strings.ToLower); c != "" {
		return ` (did you mean "` + c + `"?)`
	}
	return ""
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b (optimal string
// alignment). It gives up with bound as soon as the distance is known to reach it.
func editDistance(a, b string, bound int) int {
	if len(a)-len(b) >= bound || len(b)-len(a) >= bound {
		return bound
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= bound {
			return bound
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
