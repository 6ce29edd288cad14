package stdio

import "os"

// pipe is one of the program's streams. The ends are files, so that the program gets its end as it is and ours has
// deadlines.
type pipe struct{ r, w *os.File }

func openPipes(n int) ([]pipe, error) {
	pipes := make([]pipe, 0, n)
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			for _, p := range pipes {
				closeAll(p.r, p.w)
			}
			return nil, err
		}
		pipes = append(pipes, pipe{r, w})
	}
	return pipes, nil
}

// closeAll closes ends that carry nothing that could be lost.
func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
