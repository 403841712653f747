"""Clean text: character sets, languages, dates, line breaks."""
