import ArgumentParser
import TesseraImages

/// Which files of the inputs are taken: what every verb that searches folders offers.
struct SourceOptions: ParsableArguments {
  @Flag(
    help: """
      Take hidden and system files and folders too: names that begin with a dot, @eaDir, __MACOSX, \
      lost+found and the like.
      """
  )
  var hidden = false

  @Option(
    help: ArgumentHelp(
      "Leave out files and folders that fit a pattern (*, ?, [abc]), such as '*_mask.png' or 'train/old'; repeatable.",
      discussion: """
        A pattern without a slash is compared with each name, another one with the path below the input, \
        where * stands for slashes too.
        """,
      valueName: "glob"
    )
  )
  var exclude: [String] = []

  @Flag(
    help: "Follow links that leave a folder or lead to one; every folder is listed once."
  )
  var followLinks = false

  /// Whether nothing was set.
  var isDefault: Bool { !hidden && exclude.isEmpty && !followLinks }

  func validate() throws {
    guard !exclude.contains("") else { throw ValidationError("--exclude: an empty pattern") }
  }

  /// What is chosen.
  var selection: ImageSelection {
    var selection = ImageSelection()
    selection.hidden = hidden
    selection.exclusions = exclude
    selection.followsLinks = followLinks
    return selection
  }
}
