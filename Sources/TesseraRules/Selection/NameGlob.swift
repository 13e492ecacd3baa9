import Foundation

/// A pattern of names as shells have it: `*` is any text, dots and slashes included.
package struct NameGlob: Sendable, Hashable {
  /// The pattern.
  package let text: String

  /// Creates a pattern from its text.
  package init(_ text: String) { self.text = text }

  /// Whether the whole name fits.
  package func matches(_ name: String) -> Bool { unsafe fnmatch(text, name, 0) == 0 }
}
