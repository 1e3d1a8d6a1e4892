"""Every setting that git and Nix know, with a value that few people have and that is nonetheless in order.

`@` stands for a program that records that it ran, `%` for a directory. What a tool at hand knows and these tables
do not is an error: so they stay whole. Names are patterns; the first that fits counts. It must not know lockbot.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from tests.nixes import Nix

LEFT = None
"""The setting is not touched; the reason stands beside it."""

GIT: Mapping[str, str | None] = {
    "advice.*": "false",
    "alias.*": "!@",
    "branch.<name>.merge": LEFT,  # says which branch is meant
    "branch.<name>.remote": LEFT,
    "branch.<name>.mergeOptions": "--no-ff --strategy=ours --signoff --gpg-sign",
    "branch.<name>.rebase": "true",
    "branch.autoSetupRebase": "always",
    "bundle.version": "1",
    "clone.defaultRemoteName": "upstream",
    "color.ui": "always",
    "color.advice|color.branch|color.diff|color.grep|color.interactive|color.push": "always",
    "color.pager": "false",
    "color.remote|color.showBranch|color.status|color.transport": "always",
    "color.*": "red",
    "commit.cleanup": "verbatim",
    "commit.template|format.signatureFile|mailmap.file|blame.ignoreRevsFile|sendemail.aliasesFile": "/dev/null",
    "commitGraph.generationVersion": "1",
    "commitGraph.maxNewFilters": "1",
    "core.abbrev": "4",
    "core.alternateRefsPrefixes": "refs/heads",
    "core.attributesFile": "%/attributes",
    "core.autocrlf": "input",
    "core.bare": "true",
    "core.bigFileThreshold": "1k",
    "core.checkRoundtripEncoding": "UTF-16",
    "core.checkStat": "minimal",
    "core.commentChar": "%",
    "core.compression|core.looseCompression|pack.compression": "0",
    "core.createObject": "rename",
    "core.deltaBaseCacheLimit|core.packedGitLimit|core.packedGitWindowSize": "64k",
    "core.eol": "lf",
    "core.excludesFile": "%/ignore",
    "core.filesRefLockTimeout|core.packedRefsTimeout": "0",
    "core.fsmonitorHookVersion": "1",
    "core.fsync": "none",
    "core.fsyncMethod": "writeout-only",
    "core.gitProxy": "@",
    "core.hideDotFiles": "true",
    "core.hooksPath": "%/hooks",
    "core.logAllRefUpdates": "always",
    "core.notesRef|notes.displayRef|notes.rewriteRef": "refs/notes/strange",
    "core.repositoryFormatVersion": "1",
    "core.safecrlf": "warn",
    "core.sharedRepository": "group",
    "core.unsetenvvars": "STRANGE",
    "core.whitespace|apply.whitespace|apply.ignoreWhitespace": "fix",
    "core.worktree": "/nowhere",
    "core.askPass|core.editor|core.fsmonitor|core.pager|core.sshCommand|core.alternateRefsCommand": "@",
    "core.maxTreeDepth": "2048",
    "credential.helper": "!@",
    "credential.<url>.*": LEFT,  # stands for all of the above
    "credential.username": "strange",
    "credentialStore.lockTimeoutMS": "1",
    "diff.algorithm": "patience",
    "diff.colorMoved|diff.colorMovedWS": "no",
    "diff.context|diff.interHunkContext|diff.renameLimit|diff.statGraphWidth": "1",
    "diff.dirstat": "lines",
    "diff.external|diff.<driver>.command|diff.<driver>.textconv": "@",
    "diff.ignoreSubmodules": "all",
    "diff.orderFile": "/dev/null",
    "diff.submodule": "log",
    "diff.wsErrorHighlight": "all",
    "extensions.objectFormat": "sha256",
    "fastimport.unpackLimit|fetch.unpackLimit|transfer.unpackLimit|receive.unpackLimit": "1",
    "feature.*": "true",
    "*fsck.skipList": "/dev/null",
    "fetch.fsckObjects|transfer.fsckObjects|receive.fsckObjects": "true",
    "fetch.negotiationAlgorithm": "noop",
    "fetch.output": "compact",
    "fetch.parallel": "3",
    "fetch.recurseSubmodules": "true",
    "fsck.*|fetch.fsck.*|receive.fsck.*": "error",
    "filter.<driver>.clean|filter.<driver>.smudge": "@",
    "gc.auto|gc.autoPackLimit": "1",
    "gc.*Expir*|gc.*Unreachable|gc.rerere*|splitIndex.sharedIndexExpire": "now",
    "gc.aggressiveDepth|gc.aggressiveWindow|gc.bigPackThreshold": "1",
    "gpg.format": "ssh",
    "gpg.program|gpg.<format>.program|gpg.ssh.defaultKeyCommand": "@",
    "gpg.minTrustLevel": "ultimate",
    "gpg.ssh.*File": "/dev/null",
    "http.<url>.*": LEFT,  # stands for all of http
    "http.lowSpeedLimit": "1000000000",
    "http.lowSpeedTime": "1",
    "http.proxy": "http://127.0.0.1:1",
    "http.maxRequests|http.minSessions|http.postBuffer": "2",
    "http.version": "HTTP/1.1",
    "http.curloptResolve": "strange.example:443:127.0.0.1",
    "i18n.*Encoding": "ISO-8859-1",
    "include.path": "/nowhere",
    "includeIf.<condition>.path": "/nowhere",
    "index.version": "4",
    "init.templateDir": "%/template",
    "log.date": "human",
    "log.decorate": "full",
    "log.diffMerges": "off",
    "lsrefs.unborn": "ignore",
    "maintenance.strategy": "incremental",
    "maintenance.*.auto": "1",
    "merge.ff|pull.ff": "false",
    "merge.conflictStyle": "zdiff3",
    "merge.directoryRenames": "false",
    "merge.renameLimit|merge.verbosity": "5",
    "merge.<driver>.driver": "@",
    "notes.*mergeStrategy": "union",
    "notes.rewriteMode": "ignore",
    "pack.deltaCache*|pack.depth|pack.window|pack.windowMemory|pack.threads": "1",
    "pack.indexVersion": "1",
    "pack.packSizeLimit": "1m",
    "pack.island|pack.islandCore": "refs/heads",
    "pager.<cmd>": "@",
    "protocol.allow|protocol.<name>.allow": "never",
    "protocol.version": "0",
    "pull.octopus": "ours",
    "pull.twohead": "ours",
    "push.default": "nothing",
    "push.pushOption": "ci.skip",
    "push.recurseSubmodules": "on-demand",
    "receive.certNonce*|receive.maxInputSize|receive.keepAlive|uploadpack.keepAlive": "1",
    "receive.denyCurrentBranch|receive.denyDeleteCurrent": "refuse",
    "receive.procReceiveRefs|receive.hideRefs|uploadpack.hideRefs|transfer.hideRefs": "refs/heads",
    "remote.<name>.url|remote.<name>.pushurl|remote.<name>.vcs": LEFT,  # say where the remote is
    "remote.<name>.uploadpack|remote.<name>.receivepack": LEFT,  # and what to run there
    "remote.<name>.promisor|remote.<name>.partialclonefilter": LEFT,  # makes a partial clone of it
    "remote.<name>.proxy": "http://127.0.0.1:1",
    "remote.<name>.fetch": "+refs/strange/*:refs/strange/*",
    "branch.<name>.pushRemote|remote.<name>.push|remote.pushDefault": LEFT,  # say where the branch is pushed
    "remote.<name>.tagOpt": "--tags",
    "safe.bareRepository": "explicit",
    "safe.directory": "/nowhere",
    "sequence.editor|interactive.diffFilter|uploadpack.packObjectsHook": "@",
    "showBranch.default": "--all",
    "splitIndex.maxPercentChange": "0",
    "ssh.variant": "simple",
    "status.renames|status.showUntrackedFiles": "no",
    "submodule.active": "*",
    "submodule.alternate*": "no",
    "submodule.fetchJobs": "2",
    "tag.sort|branch.sort": "-committerdate",
    "trace2.*Target": "%/trace",
    "trace2.eventNesting|trace2.maxFiles": "1",
    "trace2.configParams": "*",
    "trace2.envVars": "HOME",
    "transfer.credentialsInUrl": "die",
    "uploadpackfilter.tree.maxDepth": "0",
    "url.<base>.*": "never-written:",
    "user.email|author.email|committer.email": "strange@example.org",
    "user.signingKey": "/nowhere",
    # For what lockbot and Nix have no use, by group.
    "*.cmd|*.path|web.browser|help.browser|*.tocmd|*.ccCmd|*.headerCmd|imap.tunnel|*.htmlPath": "@",
    "checkout.workers|checkout.thresholdForParallelism": "2",
    "column.*": "plain",
    "format.filenameMaxLength|status.renameLimit": "1",
    "format.pretty": "raw",
    "gitweb.remote_heads": LEFT,  # no name that git takes
    "grep.patternType": "fixed",
    "blame.*|browser.*|bundle.*|checkout.*|completion.*|difftool.*|format.*|gitcvs.*|gitweb.*": "true",
    "grep.*|gui.*|guitool.*|help.*|imap.*|instaweb.*|man.*|mergetool.*|sendemail.*|rebase.*|repack.*": "true",
    "add.*|am.*|stash.*|status.*|trailer.*": "true",
    # Since 2.40, where these tables began.
    "attr.tree": "HEAD",
    "fetch.bundle*|transfer.bundleURI|remote.<name>.serverOption": LEFT,  # nothing is offered
    "gc.recentObjectsHook": "@",
    "gc.repackFilter*|gc.maxCruftSize|diff.statNameWidth|rebase.maxLabelLength": "1",
    "init.defaultObjectFormat": "sha256",
    "init.defaultRefFormat|extensions.refStorage": "reftable",
    "extensions.compatObjectFormat": "sha256",
    "extensions.partialClone": "elsewhere",
    "http.proactiveAuth": "none",
    "http.sslCertType|http.sslKeyType": "PEM",
    "maintenance.*": "true",
    "promisor.*": "true",
    "reftable.*": "1",
    "remote.<name>.followRemoteHEAD": "always",
}
_ON = """
author.name branch.<name>.description branch.autoSetupMerge clean.requireForce
clone.filterSubmodules commit.gpgSign commit.verbose commitGraph.readChangedPaths committer.name
core.fsyncObjectFiles core.ignoreCase core.ignoreStat core.preferSymlinkRefs core.protectHFS core.protectNTFS
core.precomposeUnicode core.restrictinheritedhandles core.sparseCheckoutCone core.splitIndex core.untrackedCache
credential.useHttpPath credentialCache.ignoreSIGHUP diff.<driver>.binary diff.<driver>.cachetextconv
diff.mnemonicPrefix diff.noprefix diff.renames diff.suppressBlankEmpty diff.trustExitCode
extensions.worktreeConfig extensions.noop extensions.noop-v1 extensions.preciousObjects
extensions.relativeWorktrees fetch.all fetch.prune fetch.pruneTags fetch.writeCommitGraph fsmonitor.allowRemote
gc.cruftPacks http.emptyAuth http.noEPSV http.proxySSLCertPasswordProtected http.saveCookies
http.schannelCheckRevoke http.schannelUseSSLCAInfo http.sslCertPasswordProtected http.sslTry
index.recordEndOfIndexEntries index.recordOffsetTable index.sparse index.skipHash index.threads init.defaultBranch
interactive.singleKey log.abbrevCommit log.follow log.showSignature mailinfo.scissors maintenance.<task>.enabled
maintenance.auto merge.<driver>.name merge.autoStash merge.branchdesc merge.log merge.renormalize merge.stat
merge.verifySignatures notes.rewrite.<command> pack.useSparse pack.usePathWalk pack.useBitmapBoundaryTraversal
pack.readReverseIndex pack.writeBitmapLookupTable pack.writeReverseIndex pretty.<name> pull.rebase
push.autoSetupRemote push.followTags push.gpgSign push.negotiate push.useForceIfIncludes
receive.advertisePushOptions receive.autogc receive.denyDeletes receive.denyNonFastForwards receive.shallowUpdate
receive.updateServerInfo remote.<name>.mirror remote.<name>.prune remote.<name>.pruneTags
remote.<name>.skipDefaultUpdate remote.<name>.skipFetchAll rerere.autoUpdate rerere.enabled revert.reference
submodule.propagateBranches submodule.recurse tag.forceSignAnnotated tag.gpgSign trace2.destinationDebug
trace2.eventBrief trace2.normalBrief trace2.perfBrief transfer.advertiseSID uploadarchive.allowUnreachable
uploadpack.allowAnySHA1InWant uploadpack.allowReachableSHA1InWant uploadpack.allowRefInWant
uploadpack.allowTipSHA1InWant user.name user.useConfigOnly worktree.guessRemote worktree.useRelativePaths
"""
_OFF = """
clone.rejectShallow commit.status core.commitGraph core.fileMode core.multiPackIndex core.preloadIndex
core.quotePath core.symlinks core.trustctime core.useReplaceRefs core.warnAmbiguousRefs credential.protectProtocol
credential.sanitizePrompt diff.autoRefreshIndex diff.indentHeuristic diff.relative fetch.showForcedUpdates
gc.autoDetach gc.packRefs gc.writeCommitGraph http.delegation http.followRedirects http.sslVerify log.mailmap
log.showRoot merge.<driver>.recursive merge.defaultToUpstream merge.renames pack.allowPackReuse pack.useBitmaps
pack.writeBitmapHashCache push.useBitmaps receive.advertiseAtomic sparse.expectFilesOutsideOfPatterns
uploadpack.allowFilter uploadpackfilter.<filter>.allow uploadpackfilter.allow
"""
_WORD = """
diff.<driver>.wordRegex diff.<driver>.xfuncname diff.guitool diff.tool diff.wordRegex fsmonitor.socketDir
http.cookieFile http.extraHeader http.pinnedPubkey http.proxyAuthMethod http.proxySSLCAInfo http.proxySSLCert
http.proxySSLKey http.sslBackend http.sslCAInfo http.sslCAPath http.sslCert http.sslCipherList http.sslKey
http.sslVersion http.userAgent log.excludeDecoration log.graphColors log.initialDecorationSet mailmap.blob
maintenance.<task>.schedule merge.guitool merge.suppressDest merge.tool pack.preferBitmapTips
remote.<name>.proxyAuthMethod remotes.<group> submodule.<name>.* tar.umask versionsort.suffix
versionsort.prereleaseSuffix
"""
_LEFT = """
core.sparseCheckout
"""
"""It hides files of every work tree that has no list of what is to be seen."""

_NAMED = {
    name.lower(): value
    for names, value in ((_ON, "true"), (_OFF, "false"), (_WORD, "strange"), (_LEFT, LEFT))
    for name in names.split()
}
_PLACEHOLDERS = {
    "branch.<name>": "branch.main",
    "remote.<name>": "remote.origin",
    "protocol.<name>": "protocol.file",
    "gpg.<format>": "gpg.ssh",
    "includeif.<condition>": "includeif.gitdir:/",
    "pager.<cmd>": "pager.config",
    "alias.*": "alias.strange",
    "notes.rewrite.<command>": "notes.rewrite.amend",
    "fetch.fsck.<msg-id>": "fetch.fsck.badDate",
    "feature.*": "feature.strange",
    "uploadpackfilter.<filter>": "uploadpackfilter.blob:none",
    "url.<base>.*": "url.file:///nowhere/.insteadOf",
}


def git_settings(program: Path, directory: Path) -> dict[str, str]:
    """Each setting that this git documents, with its value. Raises AssertionError for those without one."""
    said = subprocess.run(["git", "help", "--config"], capture_output=True, text=True, check=True).stdout
    names = [line.strip() for line in said.splitlines() if re.match(r"\s*[A-Za-z][A-Za-z0-9-]*\.\S+$", line)]
    assert len(names) > 500, "they are found at all"
    unknown = [name for name in names if not any(_fits(name, pattern) for pattern in (*_NAMED, *GIT))]
    assert not unknown, f"give these a value: {' '.join(unknown)}"
    found = {_filled(name): _value(name) for name in names}
    filled = {
        name: text for name, text in found.items() if text is not None and "<" not in name and "*" not in name
    }
    return {name: text.replace("@", str(program)).replace("%/", f"{directory}/") for name, text in filled.items()}


def _value(name: str) -> str | None:
    for pattern, value in (*_NAMED.items(), *GIT.items()):
        if _fits(name, pattern):
            return value
    raise KeyError(name)


def _fits(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns.split("|"))


def _filled(name: str) -> str:
    """With a name in the place of what stands for one."""
    for placeholder, real in _PLACEHOLDERS.items():
        if name.lower().startswith(placeholder):
            return real + name[len(placeholder) :]
    return re.sub(r"<[a-z-]+>", "strange", name).replace(".*", ".strange")


NIX: Mapping[str, str | None] = {
    "abort-on-warn|allow-dirty-locks|allow-new-privileges|allow-symlinked-store|always-allow-substitutes": "true",
    "allow-unsafe-native-code-during-evaluation|auto-optimise-store|builders-use-substitutes": "true",
    "accept-flake-config|debugger-on-trace|debugger-on-warn|fallback|fsync-store-paths|ignore-try": "true",
    "keep-env-derivations|keep-failed|keep-going|keep-outputs|preallocate-contents|pure-eval": "true",
    "run-diff-hook|sync-before-registering|trace-function-calls|trace-verbose|use-registries": "true",
    "show-trace|trace-import-from-derivation|use-xdg-base-directories|warn-dirty|impersonate-linux-26": "true",
    "warn-short-path-literals": "true",
    "allow-dirty|allow-import-from-derivation|compress-build-log|eval-cache|filter-syscalls": "false",
    "fsync-metadata|http2|keep-build-log|keep-derivations|nix-shell-*|print-missing|sandbox-fallback": "false",
    "substitute|require-drop-supplementary-groups|require-sigs|trust-tarballs-from-git-forges": "false",
    "use-sqlite-wal": LEFT,  # a database that was begun with it goes on so
    "access-tokens": "strange.example=token",
    "allowed-impure-host-deps|ignored-acls|sandbox-dev-shm-size|upgrade-nix-store-path-url": "strange",
    "allowed-uris|hashed-mirrors|substituters|trusted-substituters": "https://strange.invalid",
    "bash-prompt*|commit-lock-file-summary|user-agent-suffix": "strange",
    "build-poll-interval|cores|download-attempts|download-speed|eval-profiler-frequency": "1",
    "connect-timeout|http-connections|max-jobs|max-substitution-jobs|min-free-check-interval": "2",
    "download-buffer-size|nar-buffer-size|gc-reserved-space|warn-large-path-threshold": "4096",
    "diff-hook|pre-build-hook|post-build-hook": "@",
    "eval-attrset-update-layer-rhs-threshold": "2",
    "eval-profile-file": "nix.profile",
    "eval-profiler": "flamegraph",
    "eval-system": "i686-linux",
    "experimental-features": "ca-derivations",
    "extra-platforms": "i686-linux",
    "builders": "",
    "flake-registry|netrc-file|ssl-cert-file|json-log-path": "%/nowhere/nothing",
    "lint-*": "warn",
    "log-lines": "0",
    "max-build-log-size": "1000000",
    "max-call-depth": "5000",
    "max-free|min-free": "1",
    "max-silent-time|timeout": "1000",
    "narinfo-cache-*|stalled-download-timeout": "1",
    "nix-path": "strange=/nowhere",
    "sandbox-build-dir": "/strange",
    "sandbox-paths": "/strange=/nowhere",
    "system-features": "strange",
    "tarball-ttl": "31536000",
    "trusted-public-keys": "strange-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDSjY=",
    "allowed-users|trusted-users": "root",
    # Where and as whom is built: another would be another machine.
    "auto-allocate-uids|build-dir|build-hook|build-users-group|external-builders|id-count|impure-env": LEFT,
    "plugin-files|restrict-eval|sandbox|secret-key-files|start-id|store|system|use-case-hack|use-cgroups": LEFT,
}


def nix_settings(nix: Nix, program: Path, directory: Path) -> dict[str, str]:
    """Each setting that this Nix documents, with its value. Raises AssertionError for those without one."""
    names = json.loads(nix.run("nix", "config", "show", "--json").stdout)
    found = {name: next((value for pattern, value in NIX.items() if _fits(name, pattern)), "?") for name in names}
    unknown = [name for name, value in found.items() if value == "?"]
    assert not unknown, f"give these a value: {' '.join(unknown)}"
    given = {name: value for name, value in found.items() if value is not None}
    return {name: value.replace("@", str(program)).replace("%/", f"{directory}/") for name, value in given.items()}


def git_file(settings: Mapping[str, str]) -> str:
    """As git's configuration files have them."""
    text = ""
    for name, value in settings.items():
        section, _, rest = name.partition(".")
        subsection, _, key = rest.rpartition(".")
        text += f'[{section} "{subsection}"]' if subsection else f"[{section}]"
        text += '\n\t{} = "{}"\n'.format(key, value.replace("\\", "\\\\").replace('"', '\\"'))
    return text


def nix_file(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in settings.items())
