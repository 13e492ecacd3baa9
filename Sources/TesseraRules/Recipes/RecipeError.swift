public import TesseraCore

/// Why a recipe is none, or does not apply, in one line.
public struct RecipeError: ClassifiedError, Hashable {
  /// The recipe; empty where it is not known yet.
  public var recipe: String
  /// The rule or tensor; empty for the recipe itself.
  public var place: String
  /// What is wrong and what to do.
  public let cause: String
  /// Whether the recipe's text is at fault, or what it is applied to.
  public let kind: FailureKind

  init(
    _ cause: String,
    recipe: String = "",
    place: String = "",
    kind: FailureKind = .malformedInput
  ) {
    self.cause = cause
    self.recipe = recipe
    self.place = place
    self.kind = kind
  }

  func at(_ place: String) -> RecipeError {
    RecipeError(
      cause,
      recipe: recipe,
      place: self.place.isEmpty ? place : self.place,
      kind: kind
    )
  }

  /// Recipe, place and cause on one line.
  public var description: String {
    let place = place.isEmpty ? "" : "\(place): "
    return recipe.isEmpty ? place + cause : "\(place)\(cause) (recipe \(recipe))"
  }
}
