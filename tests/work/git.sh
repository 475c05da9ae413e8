# A day with git: clone, branch, edit, commit, merge, rebase, stash, push, pull, tidy up.
set -eu
export GIT_AUTHOR_DATE=2026-01-02T03:04:05Z GIT_COMMITTER_DATE=2026-01-02T03:04:05Z GIT_EDITOR=true
git config --global user.name dev
git config --global user.email dev@example.com
git config --global init.defaultBranch main

git init -q --bare origin.git
git clone -q origin.git shop 2>&1
cd shop
mkdir src
for number in 1 2 3 4 5 6 7 8; do echo "line $number" >src/file$number; done
git add .
git commit -q -m first
git push -q -u origin main

git checkout -q -b topic
sed -i 's/line/row/' src/file1 src/file2
git commit -q -am rows
git mv src/file3 src/renamed
git rm -q src/file4
echo more >>src/file5
git commit -q -am moved
git checkout -q main
echo other >>src/file8
git commit -q -am other
git checkout -q topic
git rebase -q main
git commit -q --amend -m 'moved, again'
GIT_SEQUENCE_EDITOR='sed -i 2s/pick/fixup/' git rebase -q -i main
git checkout -q main
git merge -q --no-ff -m merged topic
git branch -q -d topic
echo unfinished >>src/file6
git stash -q
git stash pop -q
git add src/file6
git restore --staged src/file6
git commit -q -am finished
git tag v1
git push -q origin main v1
git revert --no-edit HEAD >/dev/null
git cherry-pick HEAD~1 >/dev/null

git worktree add -q ../second -b second
echo second >../second/src/new
git -C ../second add src/new
git -C ../second commit -q -m second
git worktree remove ../second
git merge -q second
git fetch -q --prune
git pull -q
git push -q
git gc -q
git fsck
git status --short --branch
git log --format='%h %s' --stat
