package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"cdnlab/topology"
)

// TestTheReadmeIsTrue holds the commands and files of the README against the program: commands and flags exist, topology
// and experiment snippets are valid. That they do what is said is for the scripts and the end-to-end tests.
func TestTheReadmeIsTrue(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	checked := 0
	for _, line := range strings.Split(readme, "\n") {
		_, command, ok := strings.Cut(line, "    cdnlab ")
		if !ok || !strings.HasPrefix(line, "    cdnlab ") {
			continue
		}
		command, _, _ = strings.Cut(command, "   ")
		args := strings.Fields(command)
		root := (&app{}).rootCommand()
		cmd, rest, err := root.Find(args)
		if err != nil || cmd == root {
			t.Errorf("README: cdnlab %s: no such command: %v", command, err)
			continue
		}
		for _, arg := range rest {
			if arg == "--" || arg == ">" {
				break
			}
			name, isFlag := strings.CutPrefix(arg, "--")
			name, _, _ = strings.Cut(name, "=")
			if isFlag && cmd.Flag(name) == nil {
				t.Errorf("README: cdnlab %s: %s has no flag --%s", command, cmd.CommandPath(), name)
			}
		}
		checked++
	}
	if checked < 15 {
		t.Errorf("%d commands were found in the README, want the many that it has", checked)
	}
	topologies, experiments := 0, 0
	for _, block := range regexp.MustCompile(`(?m)(^    .+\n)+`).FindAllString(readme, -1) {
		text := regexp.MustCompile(`(?m)^    `).ReplaceAllString(block, "")
		switch {
		case strings.HasPrefix(text, "version: 1\norigins:"):
			if _, err := topology.Parse("README.md", []byte(text), "", nil); err != nil {
				t.Error(err)
			}
			topologies++
		case strings.HasPrefix(text, "topology: "):
			if _, err := topology.ParseExperiment("README.md", []byte(text), "", nil, nil); err != nil {
				t.Error(err)
			}
			experiments++
		case strings.HasPrefix(text, "limits:"):
			if _, err := topology.Parse("README.md", []byte("origins: { main: { at: Ashburn } }\nedges: { paris: {} }\n"+text), "", nil); err != nil {
				t.Error(err)
			}
			topologies++
		}
	}
	if topologies != 2 || experiments != 1 {
		t.Errorf("%d topologies and %d experiments were found in the README, want 2 and 1", topologies, experiments)
	}
}
