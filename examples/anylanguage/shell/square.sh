#!/bin/sh
# The last worker of the line as a shell script, for `damrey worker run`: a
# message a line comes in, ["REQUEST","square","7"], and its answer goes out as
# a line of text. An ERROR is written as the whole message.
while IFS= read -r message; do
	number=${message#'["REQUEST","square","'}
	number=${number%'"]'}
	case ${number#-} in
	'' | *[!0-9]* | 0?* | ??????????*) echo '["ERROR","square","not a whole number of at most 9 digits"]' ;;
	*) echo $((number * number)) ;;
	esac
done
