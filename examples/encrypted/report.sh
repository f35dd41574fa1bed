# Processes 24 pages. It prints its progress, and resumes where the previous attempt stopped.
page=${TEMPORAL_ACTIVITY_DETAILS_JSON:-0}
while [ "$page" -lt 24 ]; do
    sleep 0.3 # the work on one page
    page=$((page + 1))
    echo "$page" # a line that is JSON: progress
done
