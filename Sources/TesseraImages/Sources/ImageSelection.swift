import Foundation

/// Which of the files in folders, lists and archives are taken.
public struct ImageSelection: Hashable, Sendable {
  /// Whether hidden and system files and folders are searched too.
  public var hidden = false
  /// Patterns of the shell (`*`, `?`, `[abc]`), of which any leaves out what fits it.
  ///
  /// `*` also stands for slashes; a pattern without a slash is compared with each name of a path.
  public var exclusions: [String] = []
  /// Whether links are followed that leave the folder or lead to a folder.
  public var followsLinks = false
  /// The endings, without a dot, of captions that lie beside pictures; none where captions are not asked for.
  public var captionEndings: [String] = []

  /// Takes what is not hidden.
  public init() {}

  /// Folders and files of systems and programs whose names do not begin with a dot.
  private static let systemNames: Set<String> = [
    "@eaDir", "#recycle", "#snapshot", "@Recently-Snapshot", "@Recycle", "__MACOSX", "lost+found",
    "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini", "__pycache__",
  ]

  /// Whether a name in a folder is a hidden or a system one.
  static func isHidden(_ name: String) -> Bool {
    name.utf8.first == UInt8(ascii: ".") || systemNames.contains(name)
  }

  /// Why an entry is left out, whatever is in it; nil where it is not.
  ///
  /// - Parameters:
  ///   - path: Its path below the folder that was named.
  ///   - name: The last part of it.
  /// - Returns: The kind as which it is counted.
  func omission(of path: @autoclosure () -> String, named name: String) -> InputAccount.Kind? {
    if !exclusions.isEmpty {
      let path = path()
      if exclusions.contains(where: { Self.fits(path, name, $0) }) { return .excluded }
    }
    return !hidden && Self.isHidden(name) ? .hidden : nil
  }

  /// Why a member of an archive or a line of a list is left out, by any of the folders of its path; nil where
  /// it is not.
  func omission(ofWhole path: String) -> InputAccount.Kind? {
    path.split(separator: "/").lazy.compactMap { part in
      omission(of: String(path[..<part.endIndex]), named: String(part))
    }.first
  }

  /// Whether a pattern leaves a path out, by its name or by a folder of it.
  func isExcluded(_ path: String) -> Bool {
    guard !exclusions.isEmpty else { return false }
    var all = self
    all.hidden = true
    return all.omission(ofWhole: path) != nil
  }

  private static func fits(_ path: String, _ name: String, _ pattern: String) -> Bool {
    var pattern = pattern[...]
    while pattern.hasSuffix("/"), pattern.count > 1 { pattern.removeLast() }
    let isAnchored = pattern.contains("/")
    while pattern.hasPrefix("./") { pattern.removeFirst(2) }
    while pattern.hasPrefix("/") { pattern.removeFirst() }
    return unsafe fnmatch(String(pattern), isAnchored ? path : name, 0) == 0
  }
}
